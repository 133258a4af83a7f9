//! What the laboratory computes beside the run: F_h and its gradient on a grid. What it reads: requests and scenes.

use pushforward::density::{Density, GaussianMixture, by_name};
use pushforward::divergence::{self, Divergence, all_divergences};
use pushforward::linalg::Matrix;
use pushforward::num::observed_order;
use pushforward_cli::lab::{Beside, CELLS, Levels, Request, Smoothed, Storyboard, View, lowered};
use pushforward_cli::target::load;
use std::sync::Arc;

/// D_f with w held constant beyond `clip`, and U at τ = 0.3.
fn view(divergence: &dyn Divergence, clip: f64) -> View<'_> {
    View { divergence, clip, level: 0.3 }
}

/// A cloud in the middle of nine modes: r is far from 1 around it, and the kernels of its particles overlap.
fn cloud(n: usize) -> Matrix {
    pushforward::rng::normal_matrix(3, pushforward::rng::Purpose::Particles, 0, n, 2)
}

/// Checks that V_h is -N times the gradient of F_h in the places of the particles (T11). For reverse KL, whose integrands are smooth, the
/// central difference of F_h meets it with order 2. For every other divergence w has a corner at the clip, where the sum over the grid
/// errs by δ²/12 times the jump of a slope: with |∇ log r| up to 2/h and an elasticity e, by at most 0.06 e of V for cells of 0.6 h; the
/// cells here are a half and a quarter of that. A gradient with another clip does not meet it. U_h and V_h^U likewise (T17(d)), with order 2.
#[test]
fn the_velocity_is_the_gradient() {
    let p = by_name("gmm9").unwrap();
    let (x, h, side) = (cloud(10), 0.6, (-6.5, 6.5));
    let slopes = |smoothed: &Smoothed, f: &dyn Divergence, clip: f64, step: f64| {
        let one = |i: usize, j: usize| {
            let at = |sign: f64| {
                let mut moved = x.clone();
                moved[(i, j)] += sign * step;
                smoothed.at(&moved, view(f, clip)).unwrap().value
            };
            -(x.rows() as f64) * (at(1.0) - at(-1.0)) / (2.0 * step)
        };
        Matrix::from_fn(x.rows(), 2, one)
    };
    let size = |m: &Matrix| (m.as_slice().iter().map(|v| v * v).sum::<f64>() / m.as_slice().len() as f64).sqrt();
    let apart = |a: &Matrix, b: &Matrix| {
        let mut gap = a.clone();
        gap.add_scaled(-1.0, b);
        size(&gap) / size(b)
    };
    let grids = [2.0, 4.0].map(|k| Smoothed::with_cells(&*p, side, side, h, k * CELLS).unwrap());
    let kl = divergence::by_name("reverse-kl").unwrap();
    let v = grids[0].at(&x, view(&*kl, 2.0)).unwrap().velocity;
    let steps = [0.08, 0.04, 0.02];
    let errors = steps.map(|step| apart(&slopes(&grids[0], &*kl, 2.0, step), &v));
    let order = observed_order(&steps, &errors, 0.0).unwrap();
    assert!(order.is(2.0, 0.1), "{order:?}, {errors:?}");
    let response = grids[0].at(&x, view(&*kl, 2.0)).unwrap().response;
    let under = |step: f64| {
        let one = |i: usize, j: usize| {
            let at = |sign: f64| {
                let mut moved = x.clone();
                moved[(i, j)] += sign * step;
                grids[0].at(&moved, view(&*kl, 2.0)).unwrap().under
            };
            -(x.rows() as f64) * (at(1.0) - at(-1.0)) / (2.0 * step)
        };
        Matrix::from_fn(x.rows(), 2, one)
    };
    let errors = steps.map(|step| apart(&under(step), &response));
    let order = observed_order(&steps, &errors, 0.0).unwrap();
    assert!(order.is(2.0, 0.1), "{order:?}, {errors:?}");
    for f in all_divergences().iter().filter(|f| f.centred(0.0).is_none() && f.name() != "reverse-kl") {
        let clip = 1.0;
        let [coarse, fine] = [0, 1].map(|k| {
            let v = grids[k].at(&x, view(&**f, clip)).unwrap().velocity;
            apart(&slopes(&grids[k], &**f, clip, 0.01), &v)
        });
        let e = f.elasticity(clip).abs().max(f.elasticity(-clip).abs());
        assert!(coarse < 0.06 * e + 1e-3, "{}: {coarse}", f.name());
        assert!(fine < 0.5 * coarse + 1e-3, "{}: {coarse}, {fine}", f.name());
        let wrong =
            apart(&slopes(&grids[1], &**f, 2.0 * clip, 0.01), &grids[1].at(&x, view(&**f, clip)).unwrap().velocity);
        assert!(wrong > 2.0 * fine, "{}: the control passes: {wrong}, {fine}", f.name());
    }
}

/// Checks q f(p/q) beyond the clip: value and first derivative meet at the clip, the second derivative is w(clip)/u².
#[test]
fn beyond_the_clip_the_weight_stays() {
    let f = divergence::by_name("pearson").unwrap();
    let g = |u: f64| lowered(&*f, 1.0, u.ln(), u, 1.0);
    for u in [5.0, 0.1] {
        let end = f64::ln(u).signum();
        let steps = [0.02 * u, 0.01 * u, 0.005 * u];
        let exact = f.weight(end) / (u * u);
        let errors = steps.map(|s| ((g(u + s) - 2.0 * g(u) + g(u - s)) / (s * s) - exact).abs());
        let order = observed_order(&steps, &errors, 0.0).unwrap();
        assert!(order.is(2.0, 0.1), "{order:?}, {errors:?}");
        let at = end.exp();
        let jump = |by: f64| g(at * (1.0 + by)) - g(at * (1.0 - by)) - 2.0 * by * f.u_df(end);
        assert!(jump(1e-3).abs() < 1e-5 * at, "{}", jump(1e-3));
    }
}

/// Checks that p_h by sums over the grid agrees with the closed form where there is one, and that a bandwidth too small for the grid
/// and a cloud that has left it are answered.
#[test]
fn blur_without_a_closed_form() {
    struct Bare(Arc<dyn Density>);
    impl Density for Bare {
        fn dim(&self) -> usize {
            2
        }
        fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
            self.0.log_density_into(x, out);
        }
        fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
            self.0.evaluate_into(x, log_density, score);
        }
    }
    let p = by_name("gmm9").unwrap();
    let side = (-12.0, 12.0);
    let closed = Smoothed::new(&*p, side, side, 0.5).unwrap();
    let bare = Bare(by_name("gmm9").unwrap());
    let sums = Smoothed::new(&bare, side, side, 0.5).unwrap();
    let f = divergence::by_name("jeffreys").unwrap();
    let (a, b) = (closed.at(&cloud(12), view(&*f, 4.0)).unwrap(), sums.at(&cloud(12), view(&*f, 4.0)).unwrap());
    assert!((a.value - b.value).abs() < 1e-6 * a.value, "{} {}", a.value, b.value);
    assert!(Smoothed::new(&*p, side, side, 0.01).is_err());
    assert!(closed.at(&cloud(12).map(|v| v + 30.0), view(&*f, 4.0)).is_none());
}

/// Checks that a request is read as it is, and that what is none, has a body or comes from elsewhere is refused.
#[test]
fn requests() {
    let head = |line: &str, more: &str| format!("{line}\r\nHost: 127.0.0.1:7\r\n{more}");
    let get = Request::parse(&head("GET /t/run?target=gmm9&h=1 HTTP/1.1", "Origin: http://localhost:7")).unwrap();
    assert_eq!((get.path.as_str(), get.query.as_str()), ("/t/run", "target=gmm9&h=1"));
    assert!(get.is_from_here(7) && !get.is_from_here(8));
    for more in ["Origin: http://evil.example", "Origin: null", "Host: 127.0.0.1:7", "Sec-Fetch-Site: cross-site"] {
        assert!(!Request::parse(&head("GET / HTTP/1.1", more)).unwrap().is_from_here(7), "{more}");
    }
    assert!(!Request::parse("GET / HTTP/1.1").unwrap().is_from_here(7), "no host");
    for (line, more, status) in [
        ("GET /", "A: b", 400),
        ("GET http://127.0.0.1/ HTTP/1.1", "A: b", 400),
        ("DELETE / HTTP/1.1", "A: b", 405),
        ("GET / HTTP/1.1", "no colon", 400),
        ("POST / HTTP/1.1", "Content-Length: 5", 413),
        ("POST / HTTP/1.1", "Transfer-Encoding: chunked", 413),
        ("POST / HTTP/1.1", "Content-Length: 0\r\nContent-Length: 5", 413),
    ] {
        assert_eq!(Request::parse(&head(line, more)).unwrap_err().0, status, "{line}");
    }
}

/// Checks that equal files give equal pictures, that each circle goes through its places in every frame and ends where the run ends, and
/// that mistakes are named with the scene or the line.
#[test]
fn pictures_move_as_the_run_does() {
    let text = "seconds = 4\nframes = 5\n[[scene]]\ntitle = \"a\"\nlab = \"n=16&steps=8&divergence=le-cam,jeffreys\"\n";
    let target = load("gmm9", &mut |_| ()).unwrap();
    let draw = || Storyboard::of_text(text).unwrap().draw(&target).unwrap();
    let svg = draw();
    assert_eq!(svg, draw());
    assert_eq!(svg.matches("<circle").count(), 2 * 16);
    let values = svg.split("values=\"").nth(1).unwrap().split('"').next().unwrap();
    let values: Vec<&str> = values.split(';').collect();
    assert!(values.len() == 7 && values[4] == values[6] && values[0] != values[4], "{values:?}");
    let circle = svg.split("<circle cx=\"").nth(1).unwrap();
    assert!(circle.starts_with(values[6]), "the end is what stands still");
    for (text, words) in [
        ("seconds = 4\nframes = 1\n[[scene]]\ntitle = \"a\"\nlab = \"\"", "frames = 1"),
        ("seconds = 4\nframes = 3\nscene = []", "0 scenes"),
        ("seconds = -1\nframes = 3\n[[scene]]\ntitle = \"a\"\nlab = \"\"", "seconds = -1"),
        ("seconds = 4\nframes = 3\nfoo = 1", "line 3"),
    ] {
        assert!(Storyboard::of_text(text).err().unwrap().contains(words), "{words}");
    }
    let neither = "seconds = 4\nframes = 3\n[[scene]]\ntitle = \"a\"";
    assert!(Storyboard::of_text(neither).err().unwrap().contains("either lab or circle"));
    let bad = "seconds = 4\nframes = 3\n[[scene]]\ntitle = \"night\"\nlab = \"n=many\"";
    let said = Storyboard::of_text(bad).unwrap().draw(&target).unwrap_err().to_string();
    assert!(said.contains("night") && said.contains("n = many"), "{said}");
}

/// Checks that particles on the circle move as T27(b) says where p is uniform: on straight lines, x_i(t) = 1/2 + y_i + (x_i(0) - 1/2 - y_i) e^{-t}
/// with y_i = (2i - N - 1)/2N, to a tenth of a pixel in every frame, on a picture whose axis from 0 to 1 is found from the start; that the curve
/// beside them falls like e^{-t}; and that mistakes are named.
#[test]
fn particles_on_a_circle() {
    let text = |rest: &str| {
        format!(
            "seconds = 4\nframes = 5\n[[scene]]\ntitle = \"a\"\ncircle = {{ order = 1, cosines = [0.0], width = 0.2, {rest} }}\n"
        )
    };
    let target = load("gmm9", &mut |_| ()).unwrap();
    let svg = Storyboard::of_text(&text("particles = 8, time = 2, steps = 400")).unwrap().draw(&target).unwrap();
    let row =
        |part: &str| -> Vec<f64> { part.split('"').next().unwrap().split(';').map(|v| v.parse().unwrap()).collect() };
    let ways: Vec<Vec<f64>> =
        svg.split("attributeName=\"cx\"").skip(1).map(|s| row(s.split("values=\"").nth(1).unwrap())).collect();
    assert_eq!(ways.len(), 8);
    let y = |i: usize| (2.0 * i as f64 + 1.0 - 8.0) / 16.0;
    let start = |i: usize| 0.2 * y(i);
    // pixels of a length of 1
    let side = (ways[7][0] - ways[0][0]) / (start(7) - start(0));
    let middle = 0.5 * (ways[7][0] + ways[0][0]);
    for (i, way) in ways.iter().enumerate() {
        for (k, x) in way.iter().take(5).enumerate() {
            let t = 2.0 * k as f64 / 4.0;
            let exact = middle + side * (y(i) + (start(i) - y(i)) * (-t).exp());
            // a width of 51 pixels, rounded to tenths at both ends, stands for a length of 0.175
            assert!((x - exact).abs() < 0.05 + 0.1 / 0.175, "particle {i}, frame {k}: {x}, {exact}");
        }
    }
    let refused = |rest: &str| Storyboard::of_text(&text(rest)).unwrap().draw(&target).unwrap_err().to_string();
    assert!(refused("particles = 8, time = 2, steps = 3").contains("3 steps"));
    assert!(refused("particles = 1, time = 2, steps = 30").contains("1 particles"));
    assert!(refused("particles = 8, time = -2, steps = 30").contains("time"));
}

/// Checks the axis of l against its definition at random l and masses: s_k rises as the integral of the hat from λ_k - δ to λ_k + δ, its slope is
/// the hat (both by a formula of their own), s_k(b) - s_k(a) is what a walk from a to b rises by, and e_c of G = exp(-3λ²/2) is 3λ, as the
/// central difference of a quadratic is exact.
#[test]
fn levels_are_soft() {
    let levels = Levels::new(4.0);
    let (all, width) = (levels.all(), levels.width());
    assert!(all.len() == 17 && all[0] == -4.0 && all[8] == 0.0 && all[16] == 4.0 && width == 0.5);
    let hat = |z: f64| (1.0 - z.abs()).max(0.0);
    let rising =
        |z: f64| if z < 0.0 { 0.5 * (1.0 + z.max(-1.0)).powi(2) } else { 1.0 - 0.5 * (1.0 - z.min(1.0)).powi(2) };
    let draws: Matrix = pushforward::rng::normal_matrix(5, pushforward::rng::Purpose::Particles, 0, 300, 2);
    let pairs: Vec<(f64, f64)> = draws.iter_rows().map(|r| (2.5 * r[0], r[1])).collect();
    let (density, above) = (levels.density(pairs.iter().copied()), levels.above(pairs.iter().copied()));
    let mut walked = [0.0; 17];
    for pair in pairs.windows(2) {
        levels.risen(pair[0].0, pair[1].0, |k, by| walked[k] += by);
    }
    for (k, at) in all.iter().enumerate() {
        let sum = |f: &dyn Fn(f64) -> f64| pairs.iter().map(|(l, m)| m * f((l - at) / width)).sum::<f64>();
        assert!((density[k] - sum(&|z| hat(z) / width)).abs() < 1e-10, "{k}");
        assert!((above[k] - sum(&rising)).abs() < 1e-10, "{k}");
        let whole = rising((pairs[299].0 - at) / width) - rising((pairs[0].0 - at) / width);
        assert!((walked[k] - whole).abs() < 1e-10, "{k}: {} {whole}", walked[k]);
    }
    let g: Vec<f64> = all.iter().map(|l| (-1.5 * l * l).exp()).collect();
    let threshold = levels.threshold(&g, &[50.0; 17]);
    for k in 5..=11 {
        assert!((threshold[k] - 3.0 * all[k]).abs() < 1e-9, "{k}: {}", threshold[k]);
    }
    assert!(threshold[0].is_nan() && threshold[2].is_nan() && levels.threshold(&g, &[5.0; 17])[8].is_nan());
}

/// Checks what flows through the levels of particles: the central difference in time of what q_h has above a soft level, at a fixed l, meets the
/// flow ∫ J·∇l s'(l) of the same velocities. Both are sums over the grid, of functions whose slopes have corners where l crosses a level, so
/// they part by the square of a cell: less than a tenth of the largest flow on the grid of the page, where a cell spans up to a level's
/// width, and less than a quarter of that on cells of a quarter of the side. The flow of other velocities is further off.
#[test]
fn the_inflow_is_the_flow_through_the_level() {
    let p = by_name("gmm9").unwrap();
    let (x, h, side, dt) = (cloud(40), 0.5, (-6.5, 6.5), 0.001);
    let f = divergence::by_name("le-cam").unwrap();
    let levels = Levels::new(3.0);
    let gaps = [1.0, 4.0].map(|k| {
        let smoothed = Smoothed::with_cells(&*p, side, side, h, k * CELLS).unwrap();
        let at = |step: f64, speed: &Matrix| {
            let mut moved = x.clone();
            moved.add_scaled(step, speed);
            smoothed.at(&moved, view(&*f, 2.0)).unwrap()
        };
        let here = at(0.0, &x);
        let flow = |step: f64, speed: &Matrix| smoothed.inflow(levels, (&here, &at(step, speed)), speed, step);
        let (ahead, behind) = (flow(dt, &here.velocity), flow(-dt, &here.velocity));
        let largest = ahead.taken.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let apart = |other: &[f64]| {
            let central = ahead.measured.iter().zip(&behind.measured).map(|(a, b)| 0.5 * (a + b));
            central.zip(other).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / largest
        };
        let wrong = flow(dt, &x.map(|v| 0.5 - v));
        assert!(apart(&wrong.taken) > 0.3, "the control passes: {}", apart(&wrong.taken));
        apart(&ahead.taken)
    });
    assert!(gaps[0] < 0.1 && gaps[1] < 0.25 * gaps[0] + 1e-3, "{gaps:?}");
}

/// Checks T6 and T17 on the running example, p = N(0, I) and q = N(m, I): G(λ) = |m| φ₁(λ/|m| + |m|/2), here in the mean over a hat. A step of
/// length ε along V = -m brings ε w G through a level, by sums over a grid and by samples; e_c is the slope of that G, near ½ + λ/|m|²; and for
/// Le Cam's divergence the inflow is w(e^λ) times as much. To 1 % of the largest value: a grid of 120 × 120 cells whose sides are a third of
/// a hat. With the sign of λ turned, or w left out, it is off by more than 10 %.
#[test]
fn levels_of_the_running_example() {
    let normal = |mean: [f64; 2]| -> Arc<dyn Density> {
        Arc::new(GaussianMixture::gaussian(&mean, Matrix::identity(2)).unwrap())
    };
    let (m, size, step) = ([1.2, 0.9], 1.5f64, 1e-3);
    let (p, levels) = (normal([0.0, 0.0]), Levels::new(4.0));
    let start = normal(m).sample(4000, 3).unwrap();
    let beside = Beside::new(&p, ((-6.0, 6.0), (-6.0, 6.0)), &start, 5).unwrap();
    let at = |f: &dyn Divergence, part: f64| {
        let q = normal(m.map(|m| part * m));
        let mut points = start.clone();
        points.as_mut_slice().chunks_exact_mut(2).for_each(|x| (0..2).for_each(|j| x[j] -= (1.0 - part) * m[j]));
        beside.at([Arc::clone(&q), q], points, View { divergence: f, clip: 3.0, level: 0.0 }).unwrap()
    };
    // the mean of k over the hat around λ, by the midpoint rule
    let hat = |lambda: f64, k: &dyn Fn(f64) -> f64| {
        let nodes = (0..400).map(|i| (i as f64 + 0.5) / 200.0 - 1.0);
        nodes.map(|z| (1.0 - z.abs()) * k(lambda + z * levels.width())).sum::<f64>() / 200.0
    };
    let g = |l: f64| size * (-0.5 * (l / size + 0.5 * size).powi(2)).exp() / std::f64::consts::TAU.sqrt();
    let all = levels.all();
    let apart = |found: &[f64], exact: &dyn Fn(f64) -> f64| {
        let largest = all.iter().fold(0.0f64, |m, &l| m.max(exact(l).abs()));
        found.iter().zip(&all).fold(0.0f64, |m, (found, &l)| m.max((found - exact(l)).abs())) / largest
    };
    let kl = divergence::by_name("reverse-kl").unwrap();
    let inflow = beside.inflow(levels, (&at(&*kl, 1.0), &at(&*kl, 1.0 - step)));
    let truth = |l: f64| step * hat(l, &g);
    for (what, found) in [("measured", &inflow.measured), ("stated", &inflow.stated)] {
        assert!(apart(found, &truth) < 0.01, "{what}: {}", apart(found, &truth));
        assert!(apart(found, &|l| truth(-l)) > 0.1, "{what}: the control passes");
    }
    for ((taken, error), &l) in inflow.taken.iter().zip(&inflow.beside).zip(&all) {
        // chance passes 5 deviations at one of 17 levels once in 10^5
        assert!((taken - truth(l)).abs() < 5.0 * error + 1e-2 * step, "{l}: {taken} {} {error}", truth(l));
    }
    let known = all.iter().zip(&inflow.threshold).filter(|(_, e)| e.is_finite());
    assert!(known.clone().count() > 6);
    for (&l, e) in known {
        let slope = (hat(l - levels.width(), &g).ln() - hat(l + levels.width(), &g).ln()) / (2.0 * levels.width());
        assert!((e - slope).abs() < 0.05 && (e - (0.5 + l / (size * size))).abs() < 0.15, "{l}: {e} {slope}");
    }
    let le_cam = divergence::by_name("le-cam").unwrap();
    let (before, after) = (at(&*le_cam, 1.0), at(&*le_cam, 1.0 - step));
    let stated = beside.inflow(levels, (&before, &after)).stated;
    // one time for all levels, which the fall of D decides
    let weighted = |l: f64| hat(l, &|l| le_cam.weight(l.clamp(-3.0, 3.0)) * g(l));
    let time = stated[8] / weighted(0.0);
    assert!(apart(&stated, &|l| time * weighted(l)) < 0.01, "{}", apart(&stated, &|l| time * weighted(l)));
    assert!(apart(&stated, &|l| time * le_cam.weight(0.0) * hat(l, &g)) > 0.1, "the control passes");
}
