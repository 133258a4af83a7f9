//! The server: one thread a connection, at most so many, one run a stream.

use crate::failure::{Failure, Outcome};
use crate::lab::controls::catalogue;
use crate::lab::course::Course;
use crate::lab::glance::Glance;
use crate::lab::http;
use crate::lab::wish::Wish;
use crate::target::Target;
use crate::terminal::say;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a server is to do.
pub struct Settings {
    /// The target of pages that name none.
    pub target: Target,
    /// The port; any free one where 0.
    pub port: u16,
}

/// Most connections at a time; more are answered with 503.
const MOST_CONNECTIONS: usize = 48;
/// Most runs at a time.
const MOST_RUNS: usize = 8;
/// Shortest time between two frames: 50 a second.
const FRAME: Duration = Duration::from_millis(20);
/// Time between two pictures of a search.
const GLANCE: Duration = Duration::from_millis(50);
/// How often a stream that rests is asked whether its reader is still there.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Most commands that wait for a run.
const MOST_WAITING: usize = 64;
/// Most steps between two frames.
const MOST_SPEED: u64 = 1000;

const PAGE: &str = include_str!("page/lab.html");
const STYLE: &str = include_str!("page/lab.css");
const CODE: &str = include_str!("page/lab.js");

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    port: u16,
    token: String,
    connections: AtomicUsize,
    next: AtomicU64,
    runs: Mutex<BTreeMap<u64, Arc<Control>>>,
}

/// What a page says to its run.
enum Command {
    Play,
    Pause,
    /// Shows the next step.
    Once,
    Seek(u64),
    /// Steps from one frame to the next.
    Speed(u64),
    /// An export by name.
    Export(String, Sender<Option<String>>),
}

#[derive(Default)]
struct Control {
    waiting: Mutex<VecDeque<Command>>,
    called: Condvar,
}

impl Server {
    /// Listens on 127.0.0.1.
    pub fn start(settings: Settings) -> Outcome<Self> {
        let Settings { target, port } = settings;
        // what a page without any word shows, so that mistakes are said before an address is
        Wish::default().jobs(&target)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| {
            Failure::Machine(format!("cannot listen on 127.0.0.1:{port}: {e}; choose another --port, or leave it out"))
        })?;
        let port = listener.local_addr().map_or(port, |a| a.port());
        let shared = Shared {
            target,
            port,
            token: token(),
            connections: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            runs: Mutex::default(),
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.shared.port, self.shared.token)
    }

    /// Runs of tabs that are open.
    pub fn runs(&self) -> usize {
        self.shared.runs().len()
    }

    /// Answers until the process ends.
    pub fn serve(&self) {
        for stream in self.listener.incoming() {
            let Ok(mut stream) = stream else {
                // no descriptor is free: some will be
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let place = Place::take(&shared);
            if place.is_none() {
                let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
                let _ = std::io::Write::write_all(&mut stream, BUSY.as_bytes());
                continue;
            }
            let thread = std::thread::Builder::new().name("lab".into());
            let work = move || {
                let _place = place;
                if catch_unwind(AssertUnwindSafe(|| shared.talk(&mut stream))).is_err() {
                    say("note: a page's request failed inside; the others go on");
                }
            };
            // where no thread can be had the connection closes
            let _ = thread.spawn(work);
        }
    }
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A connection that counts.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.connections.fetch_add(1, Ordering::SeqCst);
        let place = Self(Arc::clone(shared));
        (taken < MOST_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A run's entry in the list; it goes with the run.
struct Entry<'a>(&'a Shared, u64);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.runs().remove(&self.1);
    }
}

/// 128 random bits of the system, as a word.
fn token() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// Whether two words are the same, in a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Control>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request.
    fn talk(&self, stream: &mut TcpStream) {
        let request = match http::read(stream) {
            None => return,
            Some(Err(refusal)) => {
                let _ = http::answer(stream, refusal.0, "text/plain", refusal.1);
                return;
            }
            Some(Ok(request)) => request,
        };
        let path = request.path.strip_prefix('/').and_then(|p| p.split_once('/'));
        let allowed = request.is_from_here(self.port) && path.is_some_and(|(t, _)| same(t, &self.token));
        let Some((_, name)) = path.filter(|_| allowed) else {
            let words = "open the address that 'pushforward lab' printed, as it is";
            let _ = http::answer(stream, 403, "text/plain", words);
            return;
        };
        let answer = match (request.method.as_str(), name) {
            ("GET", "") => (200, "text/html", PAGE.to_string()),
            ("GET", "lab.css") => (200, "text/css", STYLE.to_string()),
            ("GET", "lab.js") => (200, "text/javascript", CODE.to_string()),
            ("GET", "catalogue") => {
                (200, "application/json", catalogue((&self.target.name, &self.target.formula)).to_string())
            }
            ("GET", "run") => return self.stream(stream, &request.query),
            ("GET", "export") => self.export(&request.query),
            ("POST", "control") => self.control(&request.query),
            _ => (404, "text/plain", "there is no such page".to_string()),
        };
        let _ = http::answer(stream, answer.0, answer.1, &answer.2);
    }

    /// The control of the run that a query names.
    fn named(&self, query: &Query) -> Option<Arc<Control>> {
        let id: u64 = query.get("id")?.parse().ok()?;
        self.runs().get(&id).cloned()
    }

    fn control(&self, query: &str) -> (u16, &'static str, String) {
        let query = Query(query);
        let gone = || (404, "text/plain", "this run has ended; load the page again".to_string());
        let Some(control) = self.named(&query) else { return gone() };
        let number = |key: &str| query.get(key).and_then(|w| w.parse::<u64>().ok());
        let command = match query.get("do") {
            Some("play") => Some(Command::Play),
            Some("pause") => Some(Command::Pause),
            Some("once") => Some(Command::Once),
            Some("seek") => number("step").map(Command::Seek),
            Some("speed") => number("steps").map(|n| Command::Speed(n.clamp(1, MOST_SPEED))),
            _ => None,
        };
        match command.map(|command| control.call(command)) {
            Some(true) => (200, "text/plain", String::new()),
            Some(false) => (503, "text/plain", "the run is busy".into()),
            None => (400, "text/plain", "say do=play, pause, once, seek with a step, or speed with steps".into()),
        }
    }

    fn export(&self, query: &str) -> (u16, &'static str, String) {
        let query = Query(query);
        let (to, from) = channel();
        let what = query.get("what").unwrap_or_default().to_owned();
        let kind = match what.as_str() {
            "svg" | "frames" => "image/svg+xml",
            "csv" => "text/csv",
            _ => "text/plain",
        };
        let asked = self.named(&query).is_some_and(|control| control.call(Command::Export(what, to)));
        match asked.then(|| from.recv()) {
            Some(Ok(Some(text))) => (200, kind, text),
            Some(Ok(None)) => {
                (404, "text/plain", "there is command, csv, svg, frames, and toml0 for the first run".into())
            }
            _ => (404, "text/plain", "this run has ended; load the page again".into()),
        }
    }

    /// A run as long as its reader is there.
    fn stream(&self, stream: &mut TcpStream, query: &str) {
        if http::begin_events(stream).is_err() {
            return;
        }
        let control = Arc::new(Control::default());
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let entry = {
            let mut runs = self.runs();
            if runs.len() >= MOST_RUNS {
                drop(runs);
                let words = format!("{MOST_RUNS} pages run already; close one of them");
                let _ = http::event(stream, "refused", &serde_json::json!({ "message": words }).to_string());
                return;
            }
            runs.insert(id, Arc::clone(&control));
            Entry(self, id)
        };
        // a density that panics ends its run alone
        let run = catch_unwind(AssertUnwindSafe(|| self.show(stream, query, id, &control)));
        let failure = match run {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the run failed inside; change a setting, or report it".into(),
        };
        drop(entry);
        let _ = http::event(stream, "refused", &serde_json::json!({ "message": failure }).to_string());
    }

    /// The runs at their start; where that takes a while the page sees where their search looks.
    fn begin(&self, stream: &TcpStream, wish: &Wish) -> Outcome<Course> {
        let (glance, (done, is_done)) = (Arc::<Glance>::default(), channel::<()>());
        std::thread::scope(|scope| {
            let (seen, other) = (Arc::clone(&glance), stream.try_clone());
            scope.spawn(move || {
                let Ok(mut stream) = other else { return };
                while is_done.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                    let written = seen.look().map(|seen| http::event(&mut stream, "search", &seen.to_string()));
                    if written.is_some_and(|w| w.is_err()) {
                        return;
                    }
                }
            });
            // dropped where it fails inside too
            let done = done;
            let course = Course::begin_seen(wish, &self.target, &glance);
            drop(done);
            course
        })
    }

    fn show(&self, stream: &mut TcpStream, query: &str, id: u64, control: &Control) -> Outcome<()> {
        let wish = Wish::read(query)?;
        let mut course = self.begin(stream, &wish)?;
        let mut opening = course.opening();
        opening["id"] = id.into();
        let frame = |course: &Course| course.frame().to_string();
        let sent = http::event(stream, "opening", &opening.to_string())
            .and_then(|()| http::event(stream, "frame", &frame(&course)));
        if sent.is_err() {
            return Ok(());
        }
        let mut playing = false;
        let mut speed = wish.word("speed").and_then(|w| w.parse().ok()).unwrap_or(1).clamp(1, MOST_SPEED);
        loop {
            let began = Instant::now();
            let mut changed = false;
            while let Some(command) = control.next() {
                match command {
                    Command::Play => playing = true,
                    Command::Pause => playing = false,
                    Command::Once => {
                        playing = false;
                        course.advance(1)?;
                        changed = true;
                    }
                    Command::Seek(step) => {
                        course.seek(step)?;
                        changed = true;
                    }
                    Command::Speed(steps) => speed = steps,
                    Command::Export(what, to) => {
                        let made = if what == "frames" { Some(course.frames()?) } else { course.export(&what) };
                        let _ = to.send(made);
                    }
                }
            }
            if playing && !course.is_finished() {
                course.advance(speed)?;
                changed = true;
            }
            playing &= !course.is_finished();
            let written =
                if changed { http::event(stream, "frame", &frame(&course)) } else { http::event(stream, "rest", "") };
            if written.is_err() {
                return Ok(());
            }
            let pause = if playing { FRAME.saturating_sub(began.elapsed()) } else { HEARTBEAT };
            control.wait(pause);
        }
    }
}

impl Control {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Command>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a command; false where too many wait.
    fn call(&self, command: Command) -> bool {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST_WAITING {
            return false;
        }
        waiting.push_back(command);
        self.called.notify_all();
        true
    }

    fn next(&self) -> Option<Command> {
        self.waiting().pop_front()
    }

    /// Waits for a command, but no longer than `time`.
    fn wait(&self, time: Duration) {
        let waiting = self.waiting();
        if waiting.is_empty() && !time.is_zero() {
            let _ = self.called.wait_timeout(waiting, time);
        }
    }
}

/// Words of a query that need no decoding.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }
}
