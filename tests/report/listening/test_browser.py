"""The page in headless Chromium: opened as a file, clicked, typed at, and checked by axe."""

import pytest

from contrasep_lib.report.listening.page import scene_html, write_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, made.content())
    return path


@pytest.fixture
def page(browser, path):
    """The page, opened anew; at its end the console has to be empty, also of refusals by the policy."""
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def script(page, code, *arguments):
    return page.execute_script(f"return {code}", *arguments)


def click(page, selector):
    page.find_element("css selector", selector).click()


def press(page, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(page).send_keys(key).perform()


def wait(page, code):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(page, 60, 0.05).until(lambda _: script(page, code))


def names(page):
    return script(page, "[...document.querySelectorAll('#mixtures tbody tr')].map((row) => row.cells[0].textContent)")


def test_it_opens_with_the_worst_mixture_and_no_text_runs(page, made):
    assert page.title == f"recipe {made.hostile}"
    assert page.find_element("css selector", "#stage h3").text == "mix-0"
    owner = page.find_element("css selector", ".owner").text
    assert owner.startswith(f"This page holds recordings of: nobody's {made.hostile}")
    assert script(page, "[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert script(page, "document.images.length") == 6


def test_lanes_play_in_step(page):
    # looped, as a busy machine may need longer for the test than the audio lasts
    click(page, "#stage .repeat")
    click(page, "#stage .play")
    wait(page, "player.playing && player.time > 0.1")
    assert page.find_element("css selector", "#stage .play").text == "Pause"
    voices = wait(page, "player.voices.length")
    lengths = page.execute_async_script(
        "const done = arguments[0]; player.buffers.then((all) => done(all.map((buffer) => buffer.duration)))")
    assert voices == 5 and max(lengths) - min(lengths) < 1e-6 and lengths[0] == pytest.approx(2, abs=0.02)
    # one lane is heard; another one is chosen without a stop
    click(page, "#stage .lane:nth-of-type(4) label")
    heard = "player.voices.map(({ gain }) => Math.round(50 * gain.gain.value)).join()"
    wait(page, f"{heard} === '0,50,0,0,0'")
    assert script(page, "player.playing && player.lane === 1")
    click(page, "#stage .play")
    stopped = script(page, "player.time")
    assert 0 < stopped <= 2 and not script(page, "player.playing") and script(page, "player.time") == stopped
    wait(page, "Math.abs(parseFloat(document.querySelector('.cursor').style.left) - 50 * player.time) < 0.1")


def test_a_click_on_a_spectrogram_seeks_and_the_end_is_the_end(page):
    from selenium.webdriver import ActionChains

    picture = page.find_element("css selector", "#stage .picture")
    ActionChains(page).move_to_element_with_offset(picture, picture.size["width"] // 4, 0).click().perform()
    assert script(page, "player.time") == pytest.approx(1.5, abs=0.02)
    assert page.find_element("css selector", "#stage .time").text == "1.5 / 2.0 s"
    script(page, "player.seek(1.9)")
    click(page, "#stage .play")
    wait(page, "!player.playing && player.time === 2")
    # from the end it begins anew, and goes on where it loops
    click(page, "#stage .repeat")
    script(page, "player.seek(1.9)")
    press(page, "n", "p")
    assert script(page, "player.time") == 0


def test_tables_sort_by_their_titles(page, made):
    assert names(page) == ["mix-0", "mix-1", made.hostile]
    title = "#mixtures th:nth-of-type(2)"
    assert script(page, f"document.querySelector('{title}').ariaSort") == "ascending"
    click(page, f"{title} button")
    # cells without a value stay last
    assert names(page) == ["mix-1", "mix-0", made.hostile]
    assert script(page, f"document.querySelector('{title}').ariaSort") == "descending"
    click(page, "#mixtures th button")
    assert names(page) == [made.hostile, "mix-0", "mix-1"]
    assert script(page, "document.querySelectorAll('#mixtures [aria-sort]').length") == 1


def test_keys_do_what_buttons_do(page, made):
    from selenium.webdriver.common.keys import Keys

    press(page, Keys.ARROW_RIGHT)
    assert script(page, "player.time") == pytest.approx(1)
    press(page, Keys.ARROW_LEFT, "3")
    assert script(page, "[player.time, player.lane]") == [0, 2]
    press(page, Keys.ARROW_UP, "9")
    assert script(page, "player.lane") == 1
    assert page.find_element("css selector", "#stage input[value='1']").is_selected()
    press(page, " ")
    wait(page, "player.playing && player.time > 0.05")
    press(page, " ")
    assert not script(page, "player.playing")
    press(page, "n")
    assert page.find_element("css selector", "#stage h3").text == made.hostile
    assert script(page, "document.querySelectorAll('tr[aria-current]').length") == 1
    press(page, "p", Keys.HOME)
    assert page.find_element("css selector", "#stage h3").text == "mix-0"


def test_dark_and_light(page):
    def background():
        return script(page, "getComputedStyle(document.body).backgroundColor")

    found = []
    for value in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": value}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        found.append(background())
    dark, light = found
    assert dark != light
    click(page, "#theme")
    assert background() == dark and page.find_element("id", "theme").text == "Colours: dark"
    press(page, "d")
    assert background() == light
    press(page, "d")
    assert page.find_element("id", "theme").text == "Colours: as the system"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, theme):
    script(page, "document.documentElement.dataset.theme = arguments[0]", theme)
    # the driver's scripts are not the page's, so the policy does not hold for them
    page.execute_script(page.axe)
    found = page.execute_async_script("const done = arguments[0]; axe.run().then((found) => done(found.violations))")
    serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert not serious
    assert [each["id"] for each in found] == []


def test_twenty_mixtures_load_in_two_seconds(browser, made, tmp_path):
    """Of the page's thread: what other programs of a machine take does not count."""
    path = tmp_path / "page.html"
    write_page(path, made.content(20, lambda: made.scene(0.2)))
    text = path.read_text(encoding="utf-8")
    # as long and as many lanes as mixtures of three talkers have
    long = scene_html(0, "mix", made.scene(12.0, 3))
    head, *rest = text.split('<template id="scene-')
    scenes = "".join(long.replace("scene-0", f"scene-{number}") for number in range(len(rest)))
    path.write_text(head + scenes + rest[-1].split("</template>")[1], encoding="utf-8")
    assert len(rest) == 20 and path.stat().st_size > 5e6
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.get(path.as_uri())
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    measured = {each["name"]: each["value"] for each in metrics}
    assert len(browser.find_elements("css selector", "button.open")) == 20
    assert 0 < measured["TaskDuration"] < 2, measured
