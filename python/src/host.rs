//! The thread that holds Python and the threads that train: densities ask, the host answers.
//!
//! A function of Python is called by the thread that started the run, so that its thread-local state (`torch.no_grad`, JAX's
//! `enable_x64`, NumPy's `errstate`) is the caller's; the pool never waits for the interpreter with anything but the asking thread.

use crate::convert::{doubles, raise, to_bytes};
use pushforward::density::Density;
use pushforward::linalg::Matrix;
use pushforward_cli::failure::{Failure, Outcome};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::ThreadPool;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the host looks for Ctrl-C while nobody asks.
const TICK: Duration = Duration::from_millis(50);

/// What the host is told.
pub enum Message {
    /// log p~ is asked for at the rows of a matrix (n×d), and with `score` its gradient.
    Batch {
        /// The entries, row after row.
        points: Vec<f64>,
        /// n.
        rows: usize,
        /// Whether ∇ log p~ is asked for.
        score: bool,
        /// Where the answer goes; none where the function raised.
        answer: SyncSender<Option<(Vec<f64>, Vec<f64>)>>,
    },
    /// A step was taken: how many, of how many, and its figures.
    Step(u64, u64, Vec<(String, f64)>),
    /// The work is over.
    Over,
}

/// Where the densities of one run reach the thread that holds Python, and how that thread ends the run.
#[derive(Default)]
pub struct Host {
    line: Mutex<Option<Sender<Message>>>,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unwinds to the guard around a density, without a word on stderr.
fn give_up() -> ! {
    resume_unwind(Box::new("it was stopped".to_string()))
}

impl Host {
    /// Whether the run is to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells the host something; where nobody listens, nothing happens.
    pub fn tell(&self, message: Message) {
        let line = lock(&self.line).clone();
        let _ = line.map(|line| line.send(message));
    }

    /// log p~ and, where asked, the score at the rows of `x`, by the thread that holds Python.
    fn ask(&self, x: &Matrix, score: bool) -> (Vec<f64>, Vec<f64>) {
        if self.stopped() {
            give_up();
        }
        let (answer, heard) = sync_channel(1);
        self.tell(Message::Batch { points: x.as_slice().to_vec(), rows: x.rows(), score, answer });
        heard.recv().ok().flatten().unwrap_or_else(|| give_up())
    }

    /// What [`Host::serve`] made, or the exception that says why it did not.
    pub fn settle<T: Send + 'static>(
        self: &Arc<Self>,
        py: Python<'_>,
        pool: &ThreadPool,
        function: Option<&Py<PyAny>>,
        on_step: Option<&Py<PyAny>>,
        work: impl FnOnce() -> Outcome<T> + Send + 'static,
    ) -> PyResult<T> {
        let (made, raised) = self.serve(py, pool, function, on_step, work);
        if let Some(error) = raised {
            return Err(error);
        }
        let outcome = made.unwrap_or_else(|payload| {
            let said = payload.downcast_ref::<String>().map(String::as_str);
            let said = said.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no reason was given");
            Err(Failure::Machine(format!("a mistake of this program or of the target's code: {said}")))
        });
        outcome.map_err(|failure| raise(py, failure))
    }

    /// Runs `work` in `pool`, and meanwhile answers here: batches by `function`, steps by `on_step`. The first exception of either, or a
    /// signal, ends the work; it is returned beside what the work made of its end.
    fn serve<T: Send + 'static>(
        self: &Arc<Self>,
        py: Python<'_>,
        pool: &ThreadPool,
        function: Option<&Py<PyAny>>,
        on_step: Option<&Py<PyAny>>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (std::thread::Result<T>, Option<PyErr>) {
        let (tell, mut hear) = channel();
        *lock(&self.line) = Some(tell);
        self.stop.store(false, Ordering::Relaxed);
        let out = Arc::new(Mutex::new(None));
        let (theirs, host) = (Arc::clone(&out), Arc::clone(self));
        pool.spawn(move || {
            let made = catch_unwind(AssertUnwindSafe(work));
            *lock(&theirs) = Some(made);
            host.tell(Message::Over);
        });
        let mut raised = None;
        loop {
            let message;
            (message, hear) = py.detach(move || listen(hear));
            let outcome = match message {
                Ok(Message::Over) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(Message::Batch { points, rows, score, answer }) => {
                    let answered = function.filter(|_| raised.is_none()).map(|f| call(py, f, &points, rows, score));
                    let (given, outcome) = match answered {
                        Some(Ok(given)) => (Some(given), Ok(())),
                        Some(Err(error)) => (None, Err(error)),
                        None => (None, Ok(())),
                    };
                    let _ = answer.send(given);
                    outcome
                }
                Ok(Message::Step(..)) if raised.is_some() => Ok(()),
                Ok(Message::Step(step, steps, figures)) => {
                    on_step.map_or(Ok(()), |f| f.call1(py, (step, steps, figures)).map(drop))
                }
            };
            if let Err(error) = outcome.and_then(|()| py.check_signals()) {
                self.stop.store(true, Ordering::Relaxed);
                raised.get_or_insert(error);
            }
        }
        *lock(&self.line) = None;
        let made = lock(&out).take().unwrap_or_else(|| Err(Box::new("the work ended without a result")));
        (made, raised)
    }
}

/// The next message, or none after a while; gives the receiver back.
fn listen(hear: Receiver<Message>) -> (Result<Message, RecvTimeoutError>, Receiver<Message>) {
    let message = hear.recv_timeout(TICK);
    (message, hear)
}

/// What the function says of a batch: log p~ (n) and the score (n·d numbers, none where it was not asked for).
fn call(
    py: Python<'_>,
    function: &Py<PyAny>,
    points: &[f64],
    rows: usize,
    score: bool,
) -> PyResult<(Vec<f64>, Vec<f64>)> {
    let answer = function.call1(py, (to_bytes(py, points), rows, score))?;
    let (log_density, scores): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = answer.extract(py)?;
    Ok((doubles(log_density.as_bytes())?, doubles(scores.as_bytes())?))
}

/// A batched function of Python.
pub struct Function {
    /// d.
    pub dim: usize,
    /// Who calls it.
    pub host: Arc<Host>,
}

impl Density for Function {
    fn dim(&self) -> usize {
        self.dim
    }

    fn wants_whole_batches(&self) -> bool {
        true
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        out.copy_from_slice(&self.host.ask(x, false).0);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let (values, scores) = self.host.ask(x, true);
        log_density.copy_from_slice(&values);
        score.as_mut_slice().copy_from_slice(&scores);
    }
}

/// A density of this library that ends its work where the run is to end.
pub struct Watched {
    /// The density.
    pub inner: Arc<dyn Density>,
    /// Who says when.
    pub host: Arc<Host>,
}

impl Watched {
    fn look(&self) -> &dyn Density {
        if self.host.stopped() {
            give_up();
        }
        &*self.inner
    }
}

impl Density for Watched {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wrapped(&self) -> Option<&dyn Density> {
        Some(&*self.inner)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.look().log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.look().evaluate_into(x, log_density, score);
    }
}
