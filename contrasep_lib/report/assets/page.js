// The chosen mixture on the stage, keys, and colours.
let player = null;
const stage = document.getElementById("stage");
const buttons = () => [...document.querySelectorAll("button.open")];

const show = (button) => {
  const template = document.getElementById(`scene-${button.dataset.scene}`);
  if (player) player.stop();
  stage.replaceChildren(template.content.cloneNode(true));
  buttons().forEach((each) => each.closest("tr").removeAttribute("aria-current"));
  button.closest("tr").setAttribute("aria-current", "true");
  player = new Player(stage, Number(template.dataset.seconds), Number(template.dataset.rate));
  connect(player);
};

const connect = (made) => {
  const find = (name) => stage.querySelector(name);
  const [play, seek, time, cursor] = [".play", ".seek", ".time", ".cursor"].map(find);
  const radios = [...stage.querySelectorAll("input[name=lane]")];
  const refresh = () => {
    const now = made.time;
    cursor.style.left = `${(100 * now) / made.seconds}%`;
    seek.value = now;
    time.textContent = `${now.toFixed(1)} / ${made.seconds.toFixed(1)} s`;
  };
  made.changed = () => {
    play.textContent = made.playing ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(made.playing));
    radios[made.lane].checked = true;
    stage.querySelectorAll(".lane").forEach((lane) => lane.classList.toggle("heard", lane.contains(radios[made.lane])));
    refresh();
  };
  const follow = () => {
    if (player !== made) return;
    made.tick();
    if (made.playing) refresh();
    requestAnimationFrame(follow);
  };
  play.addEventListener("click", () => (made.playing ? made.pause() : made.play()));
  seek.addEventListener("input", () => made.seek(Number(seek.value)));
  find(".repeat").addEventListener("change", (event) => { made.loops = event.target.checked; });
  radios.forEach((radio, lane) => radio.addEventListener("change", () => made.hear(lane)));
  stage.querySelectorAll(".picture").forEach((picture) => {
    const at = (event) => {
      const box = picture.getBoundingClientRect();
      made.seek((made.seconds * (event.clientX - box.left)) / box.width);
    };
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      at(event);
    });
    picture.addEventListener("pointermove", (event) => { if (event.buttons & 1) at(event); });
  });
  stage.querySelectorAll(".tick").forEach((tick) => { tick.style.left = `${100 * tick.dataset.share}%`; });
  made.changed();
  requestAnimationFrame(follow);
};

const step = (by) => {
  const all = buttons();
  const now = all.findIndex((each) => each.closest("tr").hasAttribute("aria-current"));
  const next = all[Math.max(0, Math.min(all.length - 1, now + by))];
  if (!next) return;
  const goes = player && player.playing;
  show(next);
  next.closest("tr").scrollIntoView({ block: "nearest" });
  if (goes) player.play();
};

const themes = ["as the system", "dark", "light"];
const changeTheme = () => {
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme || themes[0]) + 1) % themes.length];
  root.dataset.theme = next;
  document.getElementById("theme").textContent = `Colours: ${next}`;
};

const keys = {
  " ": () => (player.playing ? player.pause() : player.play()),
  ArrowLeft: (event) => player.seek(player.time - (event.shiftKey ? 0.1 : 1)),
  ArrowRight: (event) => player.seek(player.time + (event.shiftKey ? 0.1 : 1)),
  Home: () => player.seek(0),
  ArrowUp: () => player.hear(Math.max(0, player.lane - 1)),
  ArrowDown: () => player.hear(Math.min(player.coded.length - 1, player.lane + 1)),
  l: () => { const box = stage.querySelector(".repeat"); box.checked = player.loops = !player.loops; },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const target = event.target.closest("button, summary, input, .scroll");
  // what has a meaning of its own where the focus is
  if (target && key === " " && target.matches("button, summary, input[type=checkbox]")) return;
  if (target && key.startsWith("Arrow") && target.matches(".scroll, input[type=radio]")) return;
  let done = true;
  if (key === "d") changeTheme();
  else if (key === "n") step(1);
  else if (key === "p") step(-1);
  else if (!player) done = false;
  else if (/^[1-9]$/.test(key) && Number(key) <= player.coded.length) player.hear(Number(key) - 1);
  else if (keys[key]) keys[key](event);
  else done = false;
  if (done) event.preventDefault();
});

document.getElementById("theme").addEventListener("click", changeTheme);
for (const button of buttons()) button.addEventListener("click", () => show(button));
if (buttons().length) show(buttons()[0]);
