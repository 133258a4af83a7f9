//! The laboratory: its numbers are those of the command, what must agree agrees, and nobody from outside gets in.

mod common;

use common::{pushforward, succeeds};
use pushforward_cli::files::samples::read_samples;
use pushforward_cli::lab::{CANNOT, Course, MOST_HEAD, MOST_PANES, Server, Settings, Wish, velocities};
use pushforward_cli::target::{self, Target};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

fn gmm9() -> Target {
    target::load("gmm9", &mut |_| ()).unwrap()
}

fn course(query: &str) -> Course {
    Course::begin(&Wish::read(query).unwrap(), &gmm9()).unwrap_or_else(|e| panic!("{query}: {e}"))
}

fn refused(query: &str) -> String {
    let begun = Wish::read(query).and_then(|wish| Course::begin(&wish, &gmm9()));
    begun.err().unwrap_or_else(|| panic!("{query} is taken")).to_string()
}

/// Checks that the places of a course are those of the command that it exports, bit for bit, at the end, with a jump back and forth on the
/// way, for the drift of two divergences, another velocity, and a mixture that was drawn, by its exported configuration.
#[test]
fn same_bits_as_the_command() {
    let drawn = "modes=-1,0,0.5,1%3B2,1,0.7,2";
    for query in ["divergence=le-cam,reverse-kl&reaction=1", "velocity=stein", "velocity=ula&stepper=heun", drawn] {
        let mut course = course(&format!("{query}&n=48&steps=30&seed=7&dt=0.05"));
        course.advance(12).unwrap();
        course.advance(9).unwrap();
        course.seek(3).unwrap();
        course.advance(1).unwrap();
        assert_eq!(course.step(), 4);
        while !course.is_finished() {
            course.advance(5).unwrap();
        }
        for (k, (pane, command)) in course.panes().iter().zip(course.export("command").unwrap().lines()).enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let toml = course.export(&format!("toml{k}")).unwrap();
            std::fs::write(folder.path().join(format!("lab{k}.toml")), toml).unwrap();
            let words: Vec<&str> = command.split(' ').skip(1).chain(["--out", "run"]).collect();
            let out = pushforward(folder.path(), &words);
            // the samples of a short run need not be good
            assert!(matches!(out.status.code(), Some(0 | 3)), "{command}: {}", common::stderr(&out));
            let samples = read_samples(&folder.path().join("run/samples.npy")).unwrap();
            let bits = |m: &pushforward::linalg::Matrix| m.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(pane.points()), bits(&samples), "{command}");
            assert!(pane.points().rows() == 48 && pane.step() == 30);
        }
    }
}

/// Checks the same of a generator and a flow: the samples that are shown at the end, after a jump back and forth, are the first that the
/// command gives of the run that it trained, bit for bit, and the certificate says what the run's summary says, number by number.
#[test]
fn same_bits_as_a_training() {
    for query in ["model=flow&components=4&divergence=forward-kl", "model=generator&codes=9&weights=0.05"] {
        let mut course = course(&format!("{query}&shown=48&steps=30&seed=7&search=512"));
        course.advance(12).unwrap();
        course.seek(3).unwrap();
        course.advance(1).unwrap();
        while !course.is_finished() {
            course.advance(9).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let commands = course.export("command").unwrap();
        let words: Vec<&str> = commands.trim().split(' ').skip(1).chain(["--out", "run"]).collect();
        let out = pushforward(folder.path(), &words);
        assert!(matches!(out.status.code(), Some(0 | 3)), "{commands}: {}", common::stderr(&out));
        succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "48", "--seed", "7", "-o", "x.npy"]));
        let samples = read_samples(&folder.path().join("x.npy")).unwrap();
        let bits = |m: &pushforward::linalg::Matrix| m.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(course.panes()[0].points()), bits(&samples), "{commands}");
        let certificate = course.export("certificate0").unwrap();
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        let report = std::fs::read_to_string(folder.path().join("run/report.html")).unwrap();
        let rows: Vec<&str> =
            certificate.lines().filter(|l| l.starts_with("  log Z") || l.starts_with("  ESS")).collect();
        assert!(!rows.is_empty(), "{certificate}");
        for row in rows {
            let value = row[28..].split("   ").map(str::trim).find(|v| !v.is_empty()).unwrap();
            assert!(printed.contains(value) || report.contains(value), "{row}\n{printed}");
        }
        assert!(course.export("toml0").unwrap().contains("search_particles = 512"));
    }
}

/// Checks T3, T5, T6 and T9 on what is shown: the fall of D over a step, a difference of two sums over a grid, is E_q V·x' of the samples' step,
/// that of U is E_p (s' + s'')(l) ∇l·x', and what flows through the level where most does is what the samples carry there. Over 12 seeds the squares of the z-scores of the fifth step add up to less than 45, which a χ² of
/// 12 degrees exceeds once in 10^5. With twice the mean of the samples, or its negative, they add up to more than 60: a step may lower D or
/// raise it, and by many errors.
#[test]
fn a_step_of_a_network_lowers_what_it_says() {
    for query in [
        "model=flow&components=4&search=512&divergence=forward-kl",
        "model=generator&codes=12&search=256&divergence=le-cam",
    ] {
        let mut scores = Vec::new();
        for seed in 0..12 {
            // wide modes: none is narrower than the cells
            let settings = "modes=-2,0,1,1;2,1,0.8,2&shown=1024&rate=0.002&steps=200";
            let mut course = course(&format!("{query}&{settings}&seed={seed}"));
            course.seek(4).unwrap();
            let pane = &course.panes()[0];
            let [value, fall, square, chain, error] = pane.agreement().expect("curves are shown");
            let [under, its_fall, along, response, its_error] = pane.response().expect("U is shown");
            assert!(along > 0.0, "U falls along V, T5(4): {along}");
            let inflow = pane.inflow().expect("the inflow is shown");
            let most = (0..inflow.stated.len())
                .max_by(|&a, &b| inflow.stated[a].abs().total_cmp(&inflow.stated[b].abs()))
                .unwrap();
            assert!(value > 0.0 && square > 0.0 && under > 0.0 && under < 1.0, "{query}: {value} {square} {under}");
            let gaps = |fall: f64, mean: f64, error: f64| [1.0, 2.0, -1.0].map(|part| (fall - part * mean) / error);
            let through = gaps(inflow.measured[most], inflow.taken[most], inflow.beside[most]);
            scores.push([gaps(fall, chain, error), gaps(its_fall, response, its_error), through]);
            if seed == 0 {
                let certificate = pane.certified().expect("a certificate");
                assert!(certificate.log_z.z(0.0).abs() < 4.0 && certificate.samples == 1024, "{certificate:?}");
                assert!(certificate.elbo.value < certificate.exact.as_ref().unwrap().eubo.value);
            }
        }
        for k in 0..3 {
            let [held, twice, negative] = [0, 1, 2].map(|part| scores.iter().map(|s| s[k][part].powi(2)).sum::<f64>());
            assert!(held < 45.0, "{query}, {k}: {held}");
            assert!(twice > 60.0 && negative > 60.0, "{query}, {k}: the controls pass: {twice} {negative}");
        }
    }
}

/// Checks that a flow which settles before its last step shows its end and stays there, and that a velocity without a divergence has no curves.
#[test]
fn networks_that_end_early_or_follow_no_divergence() {
    let mut settles = course("model=flow&formula=-x1^2-x2^2&shown=32&steps=400&search=256&components=1");
    settles.seek(400).unwrap();
    assert!(settles.is_finished());
    let step = settles.step();
    settles.advance(3).unwrap();
    assert_eq!(settles.step(), step);
    let stein = course("model=generator&velocity=stein&codes=4&shown=32&steps=3&search=256");
    assert!(stein.panes()[0].agreement().is_none());
    assert!(stein.export("command").unwrap().contains("train gmm9 --method generator --velocity stein"));
    assert!(refused("model=network").contains("unknown model"), "{}", refused("model=network"));
    assert!(refused("model=flow&velocity=ula").contains("cannot follow"), "{}", refused("model=flow&velocity=ula"));
    assert!(refused("model=flow&shown=1e9").contains("shown"));
}

/// Checks the chain rule on what is shown: -ΔF_h/Δt over one step minus E_q V_h·x' falls with order 1 in dt, down to what the grid errs by,
/// within 3 % (most where w has a corner at the clip); likewise for U_h, and for the inflow through the level where most of the flow is, there
/// within a tenth, as `lab_grid.rs` finds for that grid. It holds for whatever moves the particles: matched and unmatched, for four
/// divergences. The control is E_q|V|² of the draws, which is further off.
#[test]
fn the_curves_meet() {
    for query in ["divergence=reverse-kl,jeffreys,le-cam", "divergence=forward-kl&smoothing=unmatched"] {
        let one = |dt: f64| course(&format!("{query}&n=300&h=0.5&clip=1&dt={dt}"));
        let all = [0.004, 0.002, 0.001].map(one);
        for k in 0..all[0].panes().len() {
            let panes = all.each_ref().map(|c| &c.panes()[k]);
            let inflows = panes.map(|p| p.inflow().expect("the inflow is shown"));
            let most = (0..inflows[2].taken.len())
                .max_by(|&a, &b| inflows[2].taken[a].abs().total_cmp(&inflows[2].taken[b].abs()))
                .unwrap();
            let pairs = [
                panes.map(|p| p.agreement().expect("curves are shown")).map(|[_, rate, _, chain, _]| (rate, chain)),
                panes.map(|p| p.response().expect("U is shown")).map(|[_, rate, _, chain, _]| (rate, chain)),
                inflows.map(|i| (i.measured[most], i.taken[most])),
            ];
            for ((what, part), pair) in [("F", 0.03), ("U", 0.03), ("inflow", 0.1)].iter().zip(pairs) {
                let [far, near, nearest] = pair.map(|(rate, chain)| rate - chain);
                let (rate, limit) = (pair[2].0, 2.0 * nearest - near);
                let order = ((far - near) / (near - nearest)).log2();
                assert!(
                    (order - 1.0).abs() < 0.25,
                    "{query}, run {k}, {what}: order {order} of {far}, {near}, {nearest}"
                );
                assert!(limit.abs() < part * rate.abs(), "{query}, run {k}, {what}: {limit} of {rate}");
            }
            let rate = pairs[0][2].0;
            let v = all[2].panes()[k].velocity().unwrap();
            let drawn = v.as_slice().iter().map(|v| v * v).sum::<f64>() / v.rows() as f64;
            assert!(
                (drawn - rate).abs() > 0.1 * rate.abs(),
                "{query}, run {k}: the control passes, {drawn} and {rate}"
            );
        }
    }
}

/// Checks T11 on what is shown: over 24 seeds E_q V_h·x' is E_q V_h·V'_h in the mean for the drift of reverse KL with matched smoothing,
/// where the limit of h|∇ log r_h| is at work and where it is not (the score with the own term has no bias given the cloud; z-scores below
/// 4, which chance exceeds once in 10,000). Where it is not, that is E_q|V_h|². Without matched smoothing, and at work without the
/// limit, the mean is off by more than 8 deviations. The same for U_h: E_q V_h^U·x' is E_q V'_h·V_h^U in the mean (T17(d)), and for the inflow
/// through all levels together.
#[test]
fn the_drift_is_the_gradient_in_the_mean() {
    let scores = |query: &str| {
        let one = |seed: u64| {
            let course = course(&format!("{query}&n=200&h=0.4&clip=12&dt=0.01&seed={seed}"));
            let pane = &course.panes()[0];
            let [_, _, square, chain, followed] = pane.agreement().expect("curves are shown");
            let [_, _, _, its_chain, its_followed] = pane.response().expect("U is shown");
            let inflow = pane.inflow().expect("the inflow is shown");
            let sum = |v: &[f64]| v.iter().sum::<f64>();
            [chain - followed, chain - square, its_chain - its_followed, sum(&inflow.taken) - sum(&inflow.beside)]
        };
        let all: Vec<[f64; 4]> = (0..24).map(one).collect();
        [0, 1, 2, 3].map(|k| {
            let n = all.len() as f64;
            let mean = all.iter().map(|x| x[k]).sum::<f64>() / n;
            let variance = all.iter().map(|x| (x[k] - mean).powi(2)).sum::<f64>() / (n - 1.0);
            mean / (variance / n).sqrt()
        })
    };
    // N(0, I) in a mixture of nearly the same width, and in one of narrow modes
    let near = "modes=0.5,0,1.1,1&start=gaussian";
    let far = "modes=-2,0,0.15,1;2,0,0.15,1&start=gaussian";
    let ([near_followed, near_square, near_u, near_in], [far_followed, far_square, far_u, far_in]) =
        (scores(near), scores(far));
    assert!(near_followed.abs() < 4.0 && near_square.abs() < 4.0, "{near_followed} {near_square}");
    assert!(far_followed.abs() < 4.0, "{far_followed}");
    assert!(far_square < -8.0, "{far_square}: the control passes");
    assert!([near_u, near_in, far_u, far_in].iter().all(|z| z.abs() < 4.0), "{near_u} {near_in} {far_u} {far_in}");
    let [_, unmatched, ..] = scores(&format!("{far}&smoothing=unmatched"));
    assert!(unmatched.abs() > 8.0, "{unmatched}: the control of unmatched smoothing passes");
}

/// Checks that the page offers what the registry has for one density of the plane, of each model what it can follow, and that each runs, with its
/// own step where the page names none, to the bits of the command that it exports. One that is no drift has no curves and says so.
#[test]
fn other_velocities() {
    let offered = velocities();
    assert_eq!(
        offered,
        [
            "drift",
            "diffusive",
            "matching",
            "stein",
            "ula",
            "mala",
            "log-variance",
            "multi",
            "functional",
            "newton",
            "perturbed",
            "sinkhorn",
            "mmd",
            "fisher"
        ]
    );
    let cannot: Vec<_> = pushforward::run::refused_pairs().into_iter().filter(|(v, _)| offered.contains(v)).collect();
    assert_eq!(cannot, CANNOT);
    for velocity in offered.iter().filter(|v| **v != "drift" && !CANNOT.contains(&(v, "particles"))) {
        let mut course = course(&format!("velocity={velocity}&divergence=le-cam,jeffreys&n=32&seed=3&steps=4"));
        assert_eq!(course.panes().len(), 1, "{velocity}: divergences are the drift's");
        course.seek(4).unwrap();
        let pane = &course.panes()[0];
        assert!(pane.agreement().is_none() && pane.response().is_none() && pane.inflow().is_none(), "{velocity}");
        assert!(pane.opening()["why_no_curves"].as_str().unwrap().contains(velocity), "{velocity}");
        assert!(pane.opening()["weight"].is_null(), "{velocity}");
        let (folder, command) = (tempfile::tempdir().unwrap(), course.export("command").unwrap());
        let words: Vec<&str> = command.trim().split(' ').skip(1).chain(["--out", "run"]).collect();
        let out = pushforward(folder.path(), &words);
        assert!(matches!(out.status.code(), Some(0 | 3)), "{command}: {}", common::stderr(&out));
        let samples = read_samples(&folder.path().join("run/samples.npy")).unwrap();
        let bits = |m: &pushforward::linalg::Matrix| m.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(pane.points()), bits(&samples), "{command}");
    }
    let paces = |velocity: &str| course(&format!("velocity={velocity}&n=32")).panes()[0].job.steps();
    assert_eq!((paces("sinkhorn"), paces("stein")), (50, 1000));
    let flow = course("model=flow&velocity=log-variance&shown=32&steps=3&search=256&components=4");
    assert!(flow.panes()[0].agreement().is_none());
    assert!(refused("velocity=log-variance").contains("use a flow"), "{}", refused("velocity=log-variance"));
}

/// Checks that mistakes are answered in one sentence, those of a formula at their place, and that the page reaches no file, no library
/// and no endless computation.
#[test]
fn mistakes() {
    let loops = "formula=sum(i,1,60,sum(j,1,60,cos(i*x1)*cos(j*x2)))";
    // few particles do not make a long formula cheap: the picture has as many points as ever
    let few = format!("{loops}&n=2");
    let search = "model=flow&formula=sum(i,1,9,sum(j,1,9,cos(i*x1)*cos(j*x2)))-x1^2-x2^2";
    for (query, words) in [
        ("formula=-x1^2%2B*x2", "column"),
        ("formula=-x1^2-x3", "x3"),
        (loops, "needs"),
        (&few, "needs"),
        (search, "needs"),
        ("target=gmm", "gmm9"),
        ("target=/etc/passwd", "reads no files"),
        ("target=../secret.toml", "reads no files"),
        ("target=funnel-10", "10 dimensions"),
        ("divergence=reverse-kll", "reverse-kl"),
        ("divergence=le-cam,jeffreys,reverse-kl,forward-kl", "at most 3"),
        ("n=5000", "4096"),
        ("n=many", "give a number"),
        ("steps=1e9", "at most 100000"),
        ("seed=-1", "seed"),
        ("dt=0", "dt"),
        ("h=-1", "bandwidth"),
        ("colour=red", "unknown control"),
        ("modes=1,2,3", "standard deviation"),
        ("modes=1,2,0,1", "standard deviation must be positive"),
        ("target=%zz", "key=value"),
    ] {
        let sentence = refused(query);
        assert!(sentence.contains(words), "{query}: {sentence}");
    }
    let marked = refused("formula=-x1^2%2B*x2");
    assert!(
        marked.contains("column 7") && marked.lines().last().unwrap().ends_with('^'),
        "the place is marked: {marked}"
    );
    assert_eq!(MOST_PANES, 3);
}

/// Checks that a formula which is not finite at some particles, or anywhere, ends in words and no panic.
#[test]
fn formulas_that_fail_while_they_run() {
    for formula in ["log(x1)-x1-x2^2", "log(-1-x1^2)-x2^2"] {
        let all = || {
            let mut course = Course::begin(&Wish::read(&format!("formula={formula}&n=256&steps=200"))?, &gmm9())?;
            while !course.is_finished() {
                course.advance(50)?;
            }
            Ok::<(), pushforward_cli::failure::Failure>(())
        };
        let failure = all().expect_err(formula).to_string();
        assert!(failure.len() > 20, "{failure}");
    }
}

fn server() -> Arc<Server> {
    let server = Arc::new(Server::start(Settings { target: gmm9(), port: 0 }).unwrap());
    let serving = Arc::clone(&server);
    std::thread::spawn(move || serving.serve());
    server
}

/// (host:port, token) of a server's address.
fn parts(server: &Server) -> (String, String) {
    let address = server.address();
    let (host, token) = address.strip_prefix("http://").unwrap().trim_end_matches('/').split_once('/').unwrap();
    (host.to_owned(), token.to_owned())
}

/// The whole answer to these bytes.
fn ask(host: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    // a server that refuses early may close while we still write
    let _ = stream.write_all(bytes.as_bytes());
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn get(host: &str, path: &str) -> String {
    ask(host, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// A stream of events of a run.
struct Tab {
    lines: BufReader<TcpStream>,
}

impl Tab {
    fn open(host: &str, token: &str, query: &str) -> Self {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /{token}/run?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        Self { lines: BufReader::new(stream) }
    }

    /// The data of the next event of this name.
    fn event(&mut self, name: &str) -> serde_json::Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended before {name}");
            if line.trim_end() == format!("event: {name}") {
                line.clear();
                self.lines.read_line(&mut line).unwrap();
                return serde_json::from_str(line.trim_start_matches("data: ").trim_end()).unwrap();
            }
        }
    }

    fn tell(&mut self, host: &str, token: &str, id: &serde_json::Value, words: &str) {
        let out = ask(
            host,
            &format!("POST /{token}/control?id={id}&{words} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n"),
        );
        assert!(out.starts_with("HTTP/1.1 200"), "{out}");
    }
}

/// Waits until it is so; the test's own limit ends it otherwise.
fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Checks that only the printed address is answered: no token, another token, a foreign host or origin, other methods, paths that climb,
/// bodies and long heads are refused, on the stream and the controls as on the page; a 200 is given to the right one.
#[test]
fn strangers_are_refused() {
    let server = server();
    let (host, token) = parts(&server);
    let line = |path: &str, headers: &str| ask(&host, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n"));
    let own = format!("Host: {host}");
    let page = get(&host, &format!("/{token}/"));
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Content-Security-Policy: default-src 'none'"), "{page}");
    let wrong = token.replace(|c: char| c.is_ascii_digit(), "a");
    for (path, headers, status) in [
        ("/", own.as_str(), 403),
        ("/run?target=gmm9", &own, 403),
        (&format!("/{wrong}/"), &own, 403),
        (&format!("/{}/", &token[1..]), &own, 403),
        (&format!("/{token}/"), "Host: evil.example", 403),
        (&format!("/{token}/"), "Accept: */*", 403),
        (&format!("/{token}/run?"), &format!("{own}\r\nOrigin: http://evil.example"), 403),
        (&format!("/{token}/catalogue"), &format!("{own}\r\nSec-Fetch-Site: cross-site"), 403),
        (&format!("/{token}/../../etc/passwd"), &own, 404),
        (&format!("/{token}/%2e%2e/%2e%2e/etc/passwd"), &own, 404),
        (&format!("/{token}/control?do=play"), &own, 404),
        (&format!("/{token}/export?id=99&what=csv"), &own, 404),
        (&format!("/{token}/{}", "a".repeat(2 * MOST_HEAD)), &own, 431),
    ] {
        let out = line(path, headers);
        assert!(out.starts_with(&format!("HTTP/1.1 {status}")), "{} {headers}: {out}", &path[..path.len().min(80)]);
    }
    let body = "x".repeat(1 << 20);
    let posted = ask(
        &host,
        &format!("POST /{token}/control HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    assert!(posted.is_empty() || posted.starts_with("HTTP/1.1 413"), "{posted}");
    assert!(ask(&host, &format!("PUT /{token}/ HTTP/1.1\r\n{own}\r\n\r\n")).starts_with("HTTP/1.1 405"));
    assert!(ask(&host, "\0\u{1}\u{2}garbage\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert_eq!(server.runs(), 0);
}

/// Checks that a run goes on while 100 connections say nothing or half a head; each of them is closed, the next request is answered, and a
/// tab that closes frees its run, playing or not.
#[test]
fn a_crowd_of_half_open_connections() {
    let server = server();
    let (host, token) = parts(&server);
    let mut tab = Tab::open(&host, &token, "n=64&steps=100000");
    let id = tab.event("opening")["id"].clone();
    tab.tell(&host, &token, &id, "do=play");
    let mut crowd: Vec<TcpStream> = (0..100).filter_map(|_| TcpStream::connect(&host).ok()).collect();
    assert!(crowd.len() == 100);
    for half in crowd.iter_mut().step_by(2) {
        let _ = half.write_all(b"GET / HTTP/1.1\r\nHost: ");
    }
    let before = tab.event("frame")["step"].as_u64().unwrap();
    for stream in &mut crowd {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 503"));
    }
    until(|| get(&host, &format!("/{token}/")).starts_with("HTTP/1.1 200"));
    let after = tab.event("frame")["step"].as_u64().unwrap();
    assert!(after > before);
    let mut other = Tab::open(&host, &token, "n=16");
    other.event("frame");
    assert_eq!(server.runs(), 2);
    drop((tab, other));
    until(|| server.runs() == 0);
}

/// Checks the commands of a page: one step, back to a step, another speed, exports; and that a ninth run is refused in words.
#[test]
fn a_page_steers_its_run() {
    let server = server();
    let (host, token) = parts(&server);
    let mut tab = Tab::open(&host, &token, "n=32&steps=40&divergence=le-cam,jeffreys");
    let opening = tab.event("opening");
    assert_eq!(opening["panes"].as_array().unwrap().len(), 2);
    assert!(opening["commands"][0].as_str().unwrap().starts_with("pushforward particles gmm9"));
    let first = tab.event("frame");
    let id = opening["id"].clone();
    tab.tell(&host, &token, &id, "do=once");
    assert_eq!(tab.event("frame")["step"], 1);
    tab.tell(&host, &token, &id, "do=speed&steps=7");
    tab.tell(&host, &token, &id, "do=seek&step=0");
    assert_eq!(tab.event("frame"), first, "the same picture");
    let csv = get(&host, &format!("/{token}/export?id={id}&what=csv"));
    assert_eq!(csv.lines().filter(|l| l.starts_with("0,0,") || l.starts_with("1,0,")).count(), 64, "{csv}");
    assert!(get(&host, &format!("/{token}/export?id={id}&what=svg")).contains("<svg xmlns"));
    let moving = get(&host, &format!("/{token}/export?id={id}&what=frames"));
    assert!(moving.contains("image/svg+xml") && moving.matches("<circle").count() == 64, "{moving}");
    assert!(get(&host, &format!("/{token}/export?id={id}&what=toml1")).contains("[velocity]"));
    assert!(get(&host, &format!("/{token}/export?id={id}&what=exe")).starts_with("HTTP/1.1 404"));
    tab.tell(&host, &token, &id, "do=play");
    while tab.event("frame")["finished"] != true {}
    let more: Vec<Tab> = (0..7)
        .map(|_| {
            let mut tab = Tab::open(&host, &token, "n=16");
            tab.event("frame");
            tab
        })
        .collect();
    assert!(Tab::open(&host, &token, "n=16").event("refused")["message"].as_str().unwrap().contains("close one"));
    drop((more, tab));
    until(|| server.runs() == 0);
    assert!(Tab::open(&host, &token, "target=nobody").event("refused")["message"].as_str().unwrap().contains("nobody"));
}

/// Checks that a page sees where a search looks while it goes on, and that nothing of it stays: the run is the one that it is without.
#[test]
fn a_search_is_seen() {
    let server = server();
    let (host, token) = parts(&server);
    let query = "model=flow&shown=32&steps=3&components=64";
    let mut tab = Tab::open(&host, &token, query);
    let seen = tab.event("search");
    let points = seen["points"].as_array().unwrap();
    assert!(points.len() > 2 && points.iter().all(|x| x.as_f64().is_some()) && seen["over"]["contours"].is_array());
    let opening = tab.event("opening");
    assert_eq!(tab.event("frame")["panes"], course(query).frame()["panes"]);
    assert!(opening["panes"][0]["exact"] == true);
}

/// Checks the way of a run as a picture that moves: the last place of each circle is that of the shown step, the first one that of the start, and the
/// run stands where it stood.
#[test]
fn frames_of_a_run() {
    let mut course = course("n=16&steps=200&divergence=le-cam,jeffreys");
    course.seek(30).unwrap();
    let before = course.frame();
    let svg = course.frames().unwrap();
    assert_eq!(course.frame(), before);
    assert_eq!(svg.matches("<circle").count(), 32);
    let frames = svg.split("values=\"").nth(1).unwrap().split('"').next().unwrap().split(';').count();
    // 31 places, and the last one again for two of eight seconds
    assert_eq!(frames, 31 + 8);
    assert!(svg.contains("time 0 to 0.6"), "{svg}");
    assert!(!svg.contains("<script"));
}

/// Checks that the command prints an address that answers, says what is wrong with a port that is taken or a target that is not planar, and
/// ends at Ctrl-C with 130.
#[cfg(unix)]
#[test]
fn the_command() {
    let here = Path::new(".");
    let mut child = common::spawn(here, &["lab", "gmm9"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (host, path) = line.trim().strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert!(get(host, &format!("/{path}")).starts_with("HTTP/1.1 200"));
    let port = host.split_once(':').unwrap().1;
    let taken = pushforward(here, &["lab", "--port", port]);
    assert_eq!(taken.status.code(), Some(1));
    assert!(common::stderr(&taken).contains("choose another --port"), "{}", common::stderr(&taken));
    common::signal(&child, &["INT"]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let deep = pushforward(here, &["lab", "funnel-10"]);
    assert_eq!(deep.status.code(), Some(2));
    succeeds(&pushforward(here, &["lab", "--help"]));
}
