#!/usr/bin/env python3
"""Take a picture of a page to listen to, as headless Chromium shows it (tools/browser.sh install).

    tools/pictures/listen.py egs/mini_2mix/exp/toy/listen.html docs/img/listen.png
"""

from __future__ import annotations

import argparse
import io
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 1200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help="listen.html")
    parser.add_argument("picture", help="png")
    parser.add_argument("--dark", action="store_true", help="dark colours")
    args = parser.parse_args()

    from PIL import Image
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    said = subprocess.run([ROOT / "tools/browser.sh", "status"], check=True, capture_output=True, text=True).stdout
    found = dict(word.split("=", 1) for word in said.split() if "=" in word)
    options = webdriver.ChromeOptions()
    options.binary_location = found["CONTRASEP_CHROMIUM"]
    for word in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", f"window-size={WIDTH},1000"):
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options=options, service=Service(found["CONTRASEP_CHROMEDRIVER"]))
    try:
        driver.get(Path(args.page).resolve().as_uri())
        if args.dark:
            driver.find_element("id", "theme").click()
        driver.execute_script("player.seek(0.7 * player.seconds)")
        # the window is as high as the page, and its frame
        height = driver.execute_script("return document.documentElement.scrollHeight")
        driver.set_window_size(WIDTH, height + 150)
        driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        shot = Image.open(io.BytesIO(driver.get_screenshot_as_png()))
    finally:
        driver.quit()
    # few colours are enough, and a third of the size
    shot.convert("RGB").crop((0, 0, WIDTH, min(height, shot.height))).quantize(128).save(args.picture, optimize=True)


if __name__ == "__main__":
    main()
