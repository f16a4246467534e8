"""Chromium, as fixtures."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of, visibility_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
WAIT_SECONDS = 20


def waiting(browser: Chrome) -> WebDriverWait[Chrome]:
    """Wait for the browser, and look often: Selenium itself looks twice a second."""
    return WebDriverWait(browser, WAIT_SECONDS, poll_frequency=0.05)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Start a Chromium for all tests; without one on the machine, skip, but never in CI."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        reason = "a browser is missing: apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """A browser that knows nobody, in a window of its own.

    Whatever a test does in it, the Content-Security-Policy must not be in its way.
    """
    first = chromium.current_window_handle
    chromium.switch_to.new_window("window")
    chromium.set_window_size(1280, 1000)
    yield chromium
    stopped = stopped_by_policy(chromium)
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_script("try { localStorage.clear() } catch { }")
    for window in set(chromium.window_handles) - {first}:
        chromium.switch_to.window(window)
        chromium.close()
    chromium.switch_to.window(first)
    assert stopped == []


def stopped_by_policy(browser: Chrome) -> list[str]:
    """Return what the console says that the policy stopped since the last call."""
    messages = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    return [message for message in messages if "Content Security Policy" in message]


@pytest.fixture
def find(browser: Chrome) -> Callable[[str], WebElement]:
    """Return the function that waits for the element of a CSS selector to be seen."""

    def wait_for(selector: str) -> WebElement:
        located = visibility_of_element_located((By.CSS_SELECTOR, selector))
        return waiting(browser).until(located, selector)

    return wait_for


@pytest.fixture
def save(browser: Chrome, find: Callable[[str], WebElement]) -> Callable[[], str]:
    """Return the function that presses Save and returns the message on the next page."""

    def press() -> str:
        button = find("[name=_save]")
        button.click()
        waiting(browser).until(staleness_of(button))
        return find(".messagelist .success").text

    return press
