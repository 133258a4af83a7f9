//! The laboratory in a real browser without a window: every control, the keyboard, errors, links, a tab that closes.

use pushforward_cli::lab::{Server, Settings};
use pushforward_cli::target;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// Programs that are the browser, as systems call it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser that is steered through a pipe: messages of its DevTools protocol, each ended by a zero byte.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    sent: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

/// What the browser says of a page that is being left for another.
const NAVIGATED: &str = "Inspected target navigated or closed";

impl Browser {
    /// None, said aloud, where there is none.
    fn start() -> Option<Self> {
        let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
        let Some(name) = NAMES.iter().find(there) else {
            eprintln!("SKIPPED: no browser ({}); install Debian's package chromium to test the page", NAMES.join(", "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // the protocol speaks on descriptors 3 and 4
        let line = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe \
                    --user-data-dir=\"$1\" about:blank 3<&0 4>&1 >/dev/null 2>&1 </dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", line, name]).arg(profile.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, to, from, sent: 0, session: None, _profile: profile })
    }

    /// Calls a method of the protocol and waits for its answer; null where the page was left meanwhile.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert!(bytes.pop() == Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["id"] == self.sent {
                if answer["error"]["message"] == NAVIGATED {
                    return Value::Null;
                }
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Opens a page in a new tab; the tab's name.
    fn open(&mut self, address: &str) -> String {
        self.session = None;
        let tab = self.call("Target.createTarget", json!({ "url": address }))["targetId"].as_str().unwrap().to_owned();
        let session = self.call("Target.attachToTarget", json!({ "targetId": tab, "flatten": true }));
        self.session = Some(session["sessionId"].as_str().unwrap().into());
        tab
    }

    fn size(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", what);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    fn until(&mut self, expression: &str) {
        // where the page has a mistake it never will be
        while self.value(&format!("Boolean({expression})")) != true {
            let message = self.value("document.getElementById('message')?.textContent ?? ''");
            assert!(
                message == "" || expression.contains("message"),
                "waiting for {expression}: the page says {message}"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn key(&mut self, key: &str) {
        let name = if key == " " { "Space" } else { key };
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": name }));
        }
    }

    fn mouse(&mut self, kind: &str, at: (f64, f64)) {
        self.call(
            "Input.dispatchMouseEvent",
            json!({ "type": kind, "x": at.0, "y": at.1, "button": "left", "buttons": 1, "clickCount": 1 }),
        );
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Elements of the page that a person works, and have no name that a screen reader could say.
const NAMELESS: &str = "[...document.querySelectorAll('input,select,textarea,button,canvas')].filter(e => !e.closest('[hidden]') && \
    !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.outerHTML)";

/// Checks the page as a person uses it: particles move, every control begins a new run without an error, a mistake in a formula is shown at its
/// place, a mode can be dragged, keys step and pause, a link gives the same picture after a reload, everything has a name, and a tab that
/// closes frees its run.
#[test]
fn the_page_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let target = target::load("gmm9", &mut |_| ()).unwrap();
    let server = Arc::new(Server::start(Settings { target, port: 0 }).unwrap());
    let serving = Arc::clone(&server);
    std::thread::spawn(move || serving.serve());
    let small = "#n=64&steps=5000";
    let tab = browser.open(&format!("{}{small}", server.address()));
    browser.size(1366, 768);
    browser.until("typeof last !== 'undefined' && last && last.step >= 3");
    assert_eq!(browser.value(NAMELESS), json!([]));
    // nothing is wider than the window
    assert_eq!(browser.value("document.documentElement.scrollWidth <= 1366"), true);
    for id in ["fall", "value", "under", "inflow", "masses", "weights", "elasticity"] {
        let words = browser.value(&format!("$('{id}').getAttribute('aria-label')"));
        assert!(
            words.as_str().is_some_and(|w| w.len() > 60 && !w.contains("undefined") && !w.contains("NaN")),
            "{id}: {words}"
        );
    }
    // the curves are there, and the two that always meet do: within a tenth at this dt, in the first frames, where they are far from 0
    browser.until("past.length > 3 && past.every(h => h.panes[0].curves)");
    let apart = "Math.max(...past.slice(0, 4).map(h => Math.abs(h.panes[0].curves[1] - h.panes[0].curves[3]) / Math.abs(h.panes[0].curves[3])))";
    assert!(browser.value(apart).as_f64().unwrap() < 0.1);
    // what belongs to the drift is not offered where another velocity is followed, and the page says that nothing must agree
    browser.value("location.hash = 'velocity=newton&n=32&steps=9'");
    browser.until("!opening.panes[0].weight && last && last.step > 0");
    let hidden = "['h', 'clip', 'level', 'smoothing', 'reaction', 'divergences'].every(k => $('g-' + k).hidden)";
    assert_eq!(browser.value(hidden), true);
    assert!(browser.value("$('fall-c').textContent").as_str().unwrap().contains("no two curves must agree for newton"));
    browser.value("location.hash = 'n=64&steps=5000'");
    browser.until("opening.panes[0].weight && last && last.step > 2");
    every_control(&mut browser);
    browser.value("location.hash = 'n=64&steps=5000'");
    browser.until("opening.panes.length === 1 && last && last.step > 2");
    networks(&mut browser);
    browser.value("location.hash = 'n=64&steps=5000'");
    browser.until("!opening.network && last && last.step > 2");
    the_keyboard(&mut browser);
    a_link(&mut browser);
    formulas(&mut browser);
    modes(&mut browser);
    browser.session = None;
    assert!(server.runs() > 0);
    browser.call("Target.closeTarget", json!({ "targetId": tab }));
    while server.runs() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Every choice of every list, and another number in every box, begins another run.
fn every_control(browser: &mut Browser) {
    let change = |browser: &mut Browser, id: &str, value: &str| {
        let before = browser.value("opening.id");
        browser.value(&format!(
            "(() => {{ const e = $({id:?}); e.value = {value:?}; e.dispatchEvent(new Event('change')); }})()"
        ));
        browser.until(&format!("opening.id > {before} && last"));
        // back to a start that all settings allow
        browser.value("$('message').textContent");
    };
    let lists = browser.value("catalogue.controls.filter(c => c.choices).map(c => [c.key, c.choices])");
    for list in lists.as_array().unwrap() {
        for choice in list[1].as_array().unwrap().iter().rev() {
            let refused =
                format!("[...$('c-{}').options].find(o => o.value === {choice}).disabled", list[0].as_str().unwrap());
            if browser.value(&refused) == true {
                continue;
            }
            change(browser, &format!("c-{}", list[0].as_str().unwrap()), choice.as_str().unwrap());
        }
    }
    for (key, value) in
        [("h", "0.7"), ("reaction", "1"), ("clip", "3"), ("n", "48"), ("dt", "0.05"), ("steps", "400"), ("seed", "5")]
    {
        change(browser, &format!("c-{key}"), value);
    }
    for (k, name) in ["le-cam", "jeffreys", "forward-kl"].iter().enumerate() {
        change(browser, &format!("divergence{k}"), name);
        assert_eq!(browser.value("opening.panes.length"), k + 1);
    }
    change(browser, "target", "banana");
    assert_eq!(browser.value("opening.target"), "banana");
}

/// The controls of a generator and of a flow: only those are shown, what the method chose is in them, and the pictures of an exact law are there.
fn networks(browser: &mut Browser) {
    for (model, own, other) in [("generator", "codes", "components"), ("flow", "components", "codes")] {
        browser.value(&format!("location.hash = 'model={model}&{own}=4&shown=64&search=256&steps=900'"));
        browser.until(&format!(
            "opening.values.{own} === '4' && last && last.step > 3 && last.panes[0].curves && last.panes[0].certificate"
        ));
        let hidden = |browser: &mut Browser, key: &str| browser.value(&format!("$('g-{key}').hidden"));
        assert_eq!(hidden(browser, own), false, "{model}");
        for key in [other, "dt", "stepper", "h", "reaction", "n"] {
            assert_eq!(hidden(browser, key), true, "{model}: {key}");
        }
        assert_eq!(browser.value("$('c-rate').value === opening.values.rate && Number($('c-rate').value) > 0"), true);
        assert_eq!(
            browser.value("[...$('c-velocity').options].filter(o => o.disabled).map(o => o.value)"),
            match model {
                "flow" => json!(["diffusive", "matching", "ula", "mala", "perturbed"]),
                _ => json!(["ula", "mala", "log-variance", "perturbed"]),
            }
        );
        assert_eq!(browser.value(NAMELESS), json!([]));
        assert_eq!(browser.value("document.documentElement.scrollWidth <= 1366"), true);
        for id in ["fall", "value", "evidence", "under", "inflow", "masses", "weights", "elasticity"] {
            let words = browser.value(&format!("$('{id}').getAttribute('aria-label')"));
            assert!(
                words.as_str().is_some_and(|w| w.len() > 60 && !w.contains("undefined") && !w.contains("NaN")),
                "{id}: {words}"
            );
        }
        let before = browser.value("opening.id");
        browser.value("(() => { const e = $('c-rate'); e.value = '0.004'; e.dispatchEvent(new Event('change')); })()");
        browser.until(&format!("opening.id > {before} && last && opening.values.rate === '0.004'"));
        assert!(browser.value("location.hash").as_str().unwrap().contains("rate=0.004"));
        let certificate = "fetch($('as-certificate').firstChild.href).then(r => r.text())";
        assert!(browser.value(certificate).as_str().unwrap().contains("log Z"), "{model}");
    }
}

fn the_keyboard(browser: &mut Browser) {
    browser.value("document.activeElement.blur()");
    if browser.value("playing") == true {
        browser.key(" ");
    }
    browser.until("!playing");
    browser.value("new Promise(r => setTimeout(r, 300))");
    let step = browser.value("last.step").as_u64().unwrap();
    browser.key("ArrowRight");
    browser.until(&format!("last.step === {}", step + 1));
    browser.key("ArrowLeft");
    browser.until(&format!("last.step === {step}"));
    browser.key("Home");
    browser.until("last.step === 0");
    browser.key(" ");
    browser.until("last.step > 4");
}

fn a_link(browser: &mut Browser) {
    browser.value("play(false)");
    browser.value("new Promise(r => setTimeout(r, 300))");
    browser.value("$('link').click()");
    let (step, points) = (browser.value("last.step"), browser.value("last.panes"));
    assert!(browser.value("location.hash").as_str().unwrap().contains(&format!("step={step}")));
    browser.value("last = null; location.reload()");
    browser.until(&format!("typeof last !== 'undefined' && last && last.step === {step}"));
    assert_eq!(browser.value("last.panes"), points);
}

fn formulas(browser: &mut Browser) {
    browser.value("(() => { const k = $('kind'); k.value = 'formula'; k.dispatchEvent(new Event('change')); })()");
    browser.until("opening.target === 'formula' && last");
    browser.value("(() => { $('formula').value = '-x1^2 + * x2'; $('apply').click(); })()");
    browser.until("$('message').textContent.includes('^')");
    browser.value("(() => { $('formula').value = '-x1^2 - x2^4'; $('apply').click(); })()");
    browser.until("$('message').textContent === '' && last && last.step > 1");
}

fn modes(browser: &mut Browser) {
    browser.value("(() => { const k = $('kind'); k.value = 'mixture'; k.dispatchEvent(new Event('change')); })()");
    browser.until("opening.target === 'mixture' && last && $('pane0').place");
    let place = "(() => { const c = $('pane0'), b = c.getBoundingClientRect(), m = modes()[0]; return [b.left + c.place.px(m[0]), b.top + c.place.py(m[1])]; })()";
    let at = browser.value(place);
    let (x, y) = (at[0].as_f64().unwrap(), at[1].as_f64().unwrap());
    let (before, id) = (browser.value("modes()[0]"), browser.value("opening.id"));
    browser.mouse("mousePressed", (x, y));
    browser.mouse("mouseMoved", (x + 40.0, y - 30.0));
    browser.mouse("mouseReleased", (x + 40.0, y - 30.0));
    browser.until(&format!("opening.id > {id} && last"));
    let after = browser.value("modes()[0]");
    assert!(after[0].as_f64() > before[0].as_f64() && after[1].as_f64() > before[1].as_f64(), "{before} {after}");
    assert_eq!(after[2], before[2]);
}
