"""The interactive page in a real browser, headless, without a network of its own."""

import os
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from conftest import KEY


def program(variable, *names):
    """Where the browser or its driver is: as told, else on the path."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {names} is installed; name it in {variable}"
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = program("CHROMIUM", "chromium", "google-chrome", "chromium-browser")
    profile = tmp_path_factory.mktemp("profile")
    for flag in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1400",
                 "--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(program("CHROMEDRIVER", "chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def wait(browser, condition, what):
    return WebDriverWait(browser, 20, poll_frequency=0.02).until(condition, what)


def opened(browser, process, name):
    """The form of one endpoint on a freshly loaded page."""
    browser.get("about:blank")
    browser.get(f"{process.url}/docs#{name}")
    return wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, f"#{name} form.try"), f"the form of {name}")


def finished(browser, form):
    wait(browser, lambda _: form.find_elements(By.CSS_SELECTOR, "[data-end]"), "the end of the answer")
    return form.find_element(By.CSS_SELECTOR, "[data-end]").text


def test_the_page_lists_every_endpoint_and_loads_nothing_from_outside(browser, zero, api):
    browser.get("about:blank")
    browser.get_log("performance")  # forgets what the browser's own start page asked for
    opened(browser, zero, "generate")
    named = {card.get_attribute("id") for card in browser.find_elements(By.CSS_SELECTOR, ".op")}
    described = {item[method]["operationId"] for item in api["paths"].values() for method in item if method != "parameters"}
    assert named == described
    for card in browser.find_elements(By.CSS_SELECTOR, ".op"):
        browser.execute_script("arguments[0].open = true", card)
    wait(browser, lambda b: len(b.find_elements(By.CSS_SELECTOR, ".op .body")) == len(named), "every endpoint drawn")
    assert "[object " not in browser.find_element(By.TAG_NAME, "main").get_attribute("textContent")
    severe = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert severe == []
    asked = [entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent\"" in entry["message"]]
    assert asked and all(zero.url in entry or "about:blank" in entry or '"url":"data:' in entry for entry in asked)


def test_tokens_are_seen_as_they_come(browser, start):
    slow = start(config='[sim]\ngap = "30ms"\n')
    form = opened(browser, slow, "generate")
    body = form.find_element(By.NAME, "body")
    body.clear()
    body.send_keys('{"prompt": "Why is the sky blue?"}')
    Select(form.find_element(By.NAME, "Accept")).select_by_visible_text("text/event-stream")
    assert "-H 'Accept: text/event-stream'" in form.find_element(By.CSS_SELECTOR, ".curl pre").text
    # Notes how often the text grew: tokens seen one by one, not at the end.
    browser.execute_script(
        "window.grown = []; new MutationObserver(() => { const text = arguments[0].querySelector('.text');"
        " if (text && text.textContent) window.grown.push(text.textContent.length); })"
        ".observe(arguments[0], {childList: true, subtree: true});",
        form.find_element(By.CSS_SELECTOR, ".result"),
    )
    form.find_element(By.CSS_SELECTOR, "button.send").click()
    assert finished(browser, form).startswith("complete")
    assert form.find_element(By.CSS_SELECTOR, "[data-status]").get_attribute("data-status") == "200"
    text = form.find_element(By.CSS_SELECTOR, "pre.text").text
    assert len(text.split()) > 3
    assert len(set(browser.execute_script("return window.grown"))) > 3
    phases = form.find_element(By.CSS_SELECTOR, ".waterfall").get_attribute("aria-label")
    assert "upstream" in phases and "gateway" in phases


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("generate", "Every field"),
        ("generateClaude", "A prompt"),
        ("generateBatch", "Settings of their own"),
        ("chatCompletions", "Streamed"),
        ("responses", "Streamed"),
        ("completions", "Unstreamed"),
        ("messages", "Streamed"),
    ],
)
def test_examples_can_be_tried_as_they_are(browser, zero, name, example):
    form = opened(browser, zero, name)
    Select(form.find_element(By.CSS_SELECTOR, "label.stack select")).select_by_visible_text(example)
    if name == "generateBatch":
        Select(form.find_element(By.NAME, "Accept")).select_by_visible_text("application/x-ndjson")
    if name == "messages":
        headers = next(s for s in form.find_elements(By.CSS_SELECTOR, ".fold > summary") if s.text == "Headers")
        headers.click()
        form.find_element(By.NAME, "anthropic-version").send_keys("2023-06-01")
    form.find_element(By.CSS_SELECTOR, "button.send").click()
    assert finished(browser, form).startswith("complete")
    assert form.find_element(By.CSS_SELECTOR, "[data-status]").get_attribute("data-status") == "200"
    if name != "generateBatch":
        assert form.find_element(By.CSS_SELECTOR, "pre.text").text


def test_a_key_is_sent_and_not_kept(browser, guarded):
    form = opened(browser, guarded, "generate")
    form.find_element(By.CSS_SELECTOR, "button.send").click()
    finished(browser, form)
    assert form.find_element(By.CSS_SELECTOR, "[data-status]").get_attribute("data-status") == "401"
    browser.find_element(By.ID, "key").send_keys(KEY)
    form.find_element(By.CSS_SELECTOR, "button.send").click()
    wait(browser, lambda _: form.find_elements(By.CSS_SELECTOR, "[data-status='200']"), "an answer")
    finished(browser, form)
    curl = form.find_element(By.CSS_SELECTOR, ".curl pre").text
    assert "$NOWAIT_KEY" in curl and KEY not in curl
    kept = browser.execute_script("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert kept == '[{},{},""]'
    browser.refresh()
    assert browser.find_element(By.ID, "key").get_attribute("value") == ""
