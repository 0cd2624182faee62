//! The page without a mouse, on a phone, and for those who cannot see it.

use serde_json::json;

use super::browser::Browser;
use super::pages::furnish;
use super::{PAGES, service};
use crate::fake_membridge::FakeMembridge;
use crate::runtime::task;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

#[tokio::test]
async fn keys_lead_to_every_page_and_the_focus_follows() {
    let runtime = service().await;
    runtime.api.submit(task("c")).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.settled("Overview").await;
    let focused = "return document.activeElement?.innerText === arguments[0]";
    for (keys, heading) in [
        ("gt", "Tasks"),
        ("gw", "Workers"),
        ("gq", "Queues"),
        ("gm", "Membridge"),
        ("ga", "Artifacts"),
        ("gu", "Audit"),
        ("go", "Overview"),
        ("n", "New task"),
    ] {
        browser.press(keys).await;
        browser.until(heading, focused, vec![json!(heading)]).await;
    }
    // What is typed into a field is text.
    browser.click("[name=prompt]").await;
    browser.press("go gt ?").await;
    browser.settled("New task").await;
    browser.js("document.activeElement.blur()", vec![]).await;
    browser.press("/").await;
    browser.settled("Tasks").await;
    browser.press("/").await;
    let searching = "return document.activeElement.matches('[data-search]')";
    browser
        .until("the search has the focus", searching, vec![])
        .await;
}

#[tokio::test]
async fn the_first_tab_skips_the_navigation() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.settled("Overview").await;
    browser.press(TAB).await;
    let skip = "return document.activeElement.className === 'skip'";
    browser.until("the link has the focus", skip, vec![]).await;
    browser.press(ENTER).await;
    let heading =
        "return document.activeElement.tagName === 'H1' && !location.hash.includes('main')";
    browser.until("the heading has it", heading, vec![]).await;
}

#[tokio::test]
async fn a_dialog_keeps_the_focus_and_gives_it_back() {
    let runtime = service().await;
    runtime.api.register("w-1", 1).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.go("workers").await;
    browser.click("[data-act=remove]").await;
    browser.sees("dialog[open]", "Remove w-1?").await;
    // Around and around: never behind the dialog. The browser's own bar counts as no element.
    for _ in 0..8 {
        browser.press(TAB).await;
        let inside = "const one = document.activeElement;
            return one === document.body || Boolean(one.closest('dialog'))";
        assert_eq!(browser.js(inside, vec![]).await, true);
    }
    browser
        .js("document.querySelector('dialog button').focus()", vec![])
        .await;
    browser.press(ESCAPE).await;
    browser.lacks("dialog").await;
    let back = "return document.activeElement?.dataset.act === 'remove'";
    browser
        .until("the button has the focus again", back, vec![])
        .await;
    assert_eq!(runtime.api.get("/workers").await.items().len(), 1);
    browser.press("?").await;
    browser.sees("dialog[open]", "Keyboard shortcuts").await;
}

/// Every text on a page, with the contrast to what is behind it where that is too little.
const CONTRAST: &str = "
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const read = (colour, under) => {
        canvas.fillStyle = `rgb(${under.join()})`; canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = rgb => {
        const [r, g, b] = rgb.map(part => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        const chain = [];
        for (let one = element; one; one = one.parentElement) chain.unshift(one);
        return chain.reduce((under, one) => read(getComputedStyle(one).backgroundColor, under), [255, 255, 255]);
    };
    const poor = new Set();
    for (const element of document.querySelectorAll('#app *')) {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || !element.checkVisibility() || element.closest('.skip, .u-legend, :disabled, .hidden')) continue;
        const under = behind(element);
        const [a, b] = [light(under), light(read(getComputedStyle(element).color, under))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.add(`${ratio.toFixed(2)} ${element.className} ${element.textContent.slice(0, 30)}`);
    }
    const unnamed = [...document.querySelectorAll('#app :is(button, a, input, select, textarea)')].filter(one =>
        !(one.innerText?.trim() || one.getAttribute('aria-label') || one.labels?.length));
    return { poor: [...poor], unnamed: unnamed.map(one => one.outerHTML.slice(0, 100)),
        wide: document.documentElement.scrollWidth > innerWidth + 1 };
";

#[tokio::test]
async fn every_page_is_readable_in_both_schemes_on_a_phone_too() {
    let fake = FakeMembridge::start().await;
    let runtime = service().await;
    let (finished, running) = furnish(&runtime.api, &fake).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    let tasks = [format!("tasks/{finished}"), format!("tasks/{running}")];
    let mut places: Vec<&str> = PAGES.to_vec();
    places.extend(["tasks/new", &tasks[0], &tasks[1]]);
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "dark")] {
        browser.look(width, 844, scheme).await;
        for place in &places {
            browser.go(place).await;
            let there =
                "return location.hash === '#/' + arguments[0] && document.querySelector('main h1')
                && !document.querySelector('main .skeleton')";
            browser.until(place, there, vec![json!(place)]).await;
            let found = browser.js(CONTRAST, vec![]).await;
            let fine = json!({ "poor": [], "unnamed": [], "wide": false });
            assert_eq!(found, fine, "{place} {width} {scheme}");
        }
    }
}
