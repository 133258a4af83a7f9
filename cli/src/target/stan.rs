//! `kind = "stan-library"`: a shared library with BridgeStan's C interface, opened at run time.
//!
//! Every Stan model compiled by BridgeStan 2 is such a library; so is anything else that has these ten functions. Source of the
//! interface: `src/bridgestan.h` of roualdes/bridgestan, version 2. Opening a library runs its code: open only what you trust.
#![allow(unsafe_code)]

use crate::files::fnv1a;
use crate::target::Reason;
use crate::target::working_folder::{remember, stay};
use libloading::Library;
use pushforward::density::Density;
use pushforward::linalg::Matrix;
use rayon::prelude::*;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

type Model = *mut c_void;
type Message = *mut c_char;
type Random = *mut c_void;
type MakeRandom = unsafe extern "C" fn(c_uint, *mut Message) -> Random;

/// The functions that are used, with the types of the header; `bool` is that of C++.
struct Interface {
    destruct: unsafe extern "C" fn(Model),
    free_message: unsafe extern "C" fn(Message),
    constrain: unsafe extern "C" fn(Model, bool, bool, *const f64, *mut f64, Random, *mut Message) -> c_int,
    /// Makes and frees random numbers, which generated quantities ask for; none where the library has no such functions.
    random: Option<(MakeRandom, unsafe extern "C" fn(Random))>,
    unconstrain: unsafe extern "C" fn(Model, *const f64, *mut f64, *mut Message) -> c_int,
    log_density: unsafe extern "C" fn(Model, bool, bool, *const f64, *mut f64, *mut Message) -> c_int,
    gradient: unsafe extern "C" fn(Model, bool, bool, *const f64, *mut f64, *mut f64, *mut Message) -> c_int,
}

/// A model of an opened library: its log-density and score on unconstrained space, with the Jacobian of Stan's transforms.
pub struct StanModel {
    model: Model,
    interface: Interface,
    free_dim: usize,
    /// Of the parameters, and behind them of what the model computes from them.
    names: Vec<String>,
    /// How many of these are parameters.
    own: usize,
    /// Held during a call where the model was not compiled for several threads.
    turn: Option<Mutex<()>>,
    /// Keeps the code in memory for as long as `interface` points to it.
    _library: Library,
}

// SAFETY: a model may be used from any thread; calls at the same time are only made where the library says that it was compiled with
// STAN_THREADS=true, and are put in turn by `turn` otherwise.
unsafe impl Send for StanModel {}
// SAFETY: as above.
unsafe impl Sync for StanModel {}

impl StanModel {
    /// Opens `library` and constructs its model from `data`: the path of a `.json` file, JSON itself, or nothing.
    pub(crate) fn open(library: &Path, data: Option<&str>, seed: u32) -> Result<Self, Reason> {
        let shown = library.display();
        let bad = |why: String| Reason::new(format!("library: {shown}: {why}"));
        let data = data.map(CString::new).transpose();
        let data = data.map_err(|_| Reason::new("data: the text has a zero byte; give JSON or a path"))?;
        guard();
        // SAFETY: this runs the library's initialisers, which is what the user asks for by naming it.
        let opened = unsafe { Library::new(library) };
        let opened = opened.map_err(|e| bad(format!("cannot be opened ({e}); compile the model with BridgeStan")))?;
        type Construct = unsafe extern "C" fn(*const c_char, c_uint, *mut Message) -> Model;
        type Count = unsafe extern "C" fn(Model) -> c_int;
        type Names = unsafe extern "C" fn(Model, bool, bool) -> *const c_char;
        type Text = unsafe extern "C" fn(Model) -> *const c_char;
        // SAFETY: each type is that of the function in BridgeStan's header; `opened` outlives all of them, because the model keeps it.
        let (construct, count, names, info, interface) = unsafe {
            (
                find::<Construct>(&opened, "bs_model_construct").map_err(bad)?,
                find::<Count>(&opened, "bs_param_unc_num").map_err(bad)?,
                find::<Names>(&opened, "bs_param_names").map_err(bad)?,
                find::<Text>(&opened, "bs_model_info").map_err(bad)?,
                Interface {
                    destruct: find(&opened, "bs_model_destruct").map_err(bad)?,
                    free_message: find(&opened, "bs_free_error_msg").map_err(bad)?,
                    constrain: find(&opened, "bs_param_constrain").map_err(bad)?,
                    random: find(&opened, "bs_rng_construct")
                        .and_then(|make| Ok((make, find(&opened, "bs_rng_destruct")?)))
                        .ok(),
                    unconstrain: find(&opened, "bs_param_unconstrain").map_err(bad)?,
                    log_density: find(&opened, "bs_log_density").map_err(bad)?,
                    gradient: find(&opened, "bs_log_density_gradient").map_err(bad)?,
                },
            )
        };
        let mut message: Message = null_mut();
        // SAFETY: `data` is a C string or null, `message` a place for one pointer, as the header asks.
        let model = unsafe { construct(data.as_ref().map_or(null(), |d| d.as_ptr()), seed, &mut message) };
        let said = interface.take(message);
        stay();
        if model.is_null() {
            return Err(bad(format!(
                "the model cannot be constructed: {}; correct the data",
                said.unwrap_or_default()
            )));
        }
        let generates = interface.random.is_some();
        // SAFETY: `model` was just constructed; the texts live as long as it does and are copied at once.
        let (dim, own, names, info) = unsafe {
            let own = text(names(model, false, false));
            (count(model), own, text(names(model, true, generates)), text(info(model)))
        };
        let split = |names: &str| names.split(',').filter(|n| !n.is_empty()).map(indexed).collect::<Vec<String>>();
        let (own, names) = (split(&own), split(&names));
        // SAFETY: where the library has this function of the header, it has this type.
        let written = unsafe { find::<unsafe extern "C" fn(Model, bool, bool) -> c_int>(&opened, "bs_param_num") };
        // SAFETY: the model is alive.
        let written =
            written.ok().map(|written| unsafe { [written(model, false, false), written(model, true, generates)] });
        let turn = (!info.contains("STAN_THREADS=true")).then(|| Mutex::new(()));
        let free_dim = usize::try_from(dim).unwrap_or(0);
        // from here on, dropping `this` destructs the model
        let begins = names.starts_with(&own);
        let this = Self { model, interface, free_dim, names, own: own.len(), turn, _library: opened };
        if free_dim == 0 || free_dim > crate::target::formula::MAX_DIM {
            return Err(bad(format!(
                "the model has {dim} unconstrained parameters; from 1 to {} are taken",
                crate::target::formula::MAX_DIM
            )));
        }
        let named = [this.own, this.names.len()];
        let other =
            written.and_then(|all| all.into_iter().zip(named).find(|(n, found)| usize::try_from(*n) != Ok(*found)));
        if let Some((n, found)) = other {
            return Err(bad(format!(
                "the model writes {n} parameters but names {found}; compile it again with BridgeStan"
            )));
        }
        if !begins {
            let found = this.names.join(", ");
            return Err(bad(format!(
                "the model's names {found} do not begin with its parameters; compile it again with BridgeStan"
            )));
        }
        Ok(this)
    }

    /// Unconstrained parameters.
    pub fn free_dim(&self) -> usize {
        self.free_dim
    }

    /// Names of the constrained parameters, and behind them of transformed parameters and generated quantities: `a[3]`, `B[1,2]`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs `call` with a place for a message, in turn where that is needed; an error is the model's own sentence.
    fn call(&self, call: impl FnOnce(*mut Message) -> c_int) -> Result<(), String> {
        let _turn = self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let mut message: Message = null_mut();
        let code = call(&mut message);
        let said = self.interface.take(message);
        if code == 0 { Ok(()) } else { Err(said.unwrap_or_else(|| format!("code {code}"))) }
    }

    /// Constrained parameters of each row, and what the model computes from them; NaN where it refuses to. What it draws for a row depends on
    /// nothing but the row.   n×free_dim → n×names.
    pub fn constrain(&self, u: &Matrix) -> Result<Matrix, String> {
        assert_eq!(u.cols(), self.free_dim, "StanModel::constrain");
        let mut x = Matrix::zeros(u.rows(), self.names.len());
        let more = self.names.len() > self.own;
        for (i, row) in u.iter_rows().enumerate() {
            if !(more && self.write(row, true, x.row_mut(i)).is_ok()) {
                self.write(row, false, x.row_mut(i))?;
                x.row_mut(i)[self.own..].fill(f64::NAN);
            }
            if let Some(j) = x.row(i)[..self.own].iter().position(|v| !v.is_finite()) {
                return Err(format!(
                    "the model's constrained parameter {} is {} at u = {row:?}",
                    self.names[j],
                    x[(i, j)]
                ));
            }
        }
        stay();
        Ok(x)
    }

    /// The parameters of a row (free_dim numbers), and with `all` what is computed from them, into `out`, a number for each name.
    fn write(&self, row: &[f64], all: bool, out: &mut [f64]) -> Result<(), String> {
        assert_eq!((row.len(), out.len()), (self.free_dim, self.names.len()), "StanModel::write");
        let random = self.interface.random.filter(|_| all);
        let mut state: Random = null_mut();
        if let Some((make, _)) = random {
            let bytes: Vec<u8> = row.iter().flat_map(|v| v.to_le_bytes()).collect();
            // SAFETY: the function of the header; what it makes is freed below, once.
            self.call(|m| unsafe {
                state = make(fnv1a(&bytes) as c_uint, m);
                c_int::from(state.is_null())
            })?;
        }
        // SAFETY: `row` has free_dim numbers and `out` room for one of each name, so for all that is written; the model is alive, and where
        // generated quantities are asked for there are random numbers.
        let done = self.call(|m| unsafe {
            (self.interface.constrain)(self.model, all, random.is_some(), row.as_ptr(), out.as_mut_ptr(), state, m)
        });
        if let Some((_, free)) = random {
            // SAFETY: it was made above.
            unsafe { free(state) }
        }
        done
    }

    /// Unconstrained parameters of each row; what is computed from them may follow.   n×names or n×parameters → n×free_dim.
    pub fn free(&self, x: &Matrix) -> Result<Matrix, String> {
        assert!([self.own, self.names.len()].contains(&x.cols()), "StanModel::free");
        let mut u = Matrix::zeros(x.rows(), self.free_dim);
        for (i, row) in x.iter_rows().enumerate() {
            let out = u.row_mut(i).as_mut_ptr();
            // SAFETY: the lengths are those that the header asks for, as above.
            let done = self.call(|m| unsafe { (self.interface.unconstrain)(self.model, row.as_ptr(), out, m) });
            done.map_err(|why| format!("row {i} is not inside the model's support: {why} (rows count from 0)"))?;
        }
        stay();
        Ok(u)
    }

    /// log p~(u), and where asked its gradient. Where Stan rejects a point, log p~ = -inf, as in its own samplers.
    fn at(&self, u: &[f64], score: Option<&mut [f64]>) -> f64 {
        let mut value = f64::NEG_INFINITY;
        let out: *mut f64 = &mut value;
        // SAFETY: u and the score have free_dim numbers each, `out` one; the model is alive. Constants are dropped, Jacobians kept.
        let done = self.call(|m| unsafe {
            match score {
                Some(score) => {
                    (self.interface.gradient)(self.model, true, true, u.as_ptr(), out, score.as_mut_ptr(), m)
                }
                None => (self.interface.log_density)(self.model, true, true, u.as_ptr(), out, m),
            }
        });
        if done.is_ok() { value } else { f64::NEG_INFINITY }
    }
}

impl Interface {
    /// The text of a message, which is given back to the library.
    fn take(&self, message: Message) -> Option<String> {
        if message.is_null() {
            return None;
        }
        // SAFETY: the library allocated this string for us, and it is freed once.
        unsafe {
            let said = text(message);
            (self.free_message)(message);
            Some(said)
        }
    }
}

/// `a.1` as `a[1]`, `B.1.2` as `B[1,2]`.
fn indexed(name: &str) -> String {
    match name.split_once('.') {
        Some((name, indices)) => format!("{name}[{}]", indices.replace('.', ",")),
        None => name.into(),
    }
}

/// A function of the library.
///
/// # Safety
/// `T` must be the type of the function that has this name.
unsafe fn find<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: by the caller's promise.
    match unsafe { library.get::<T>(name.as_bytes()) } {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(format!("it has no function {name}; a library compiled by BridgeStan 2 is needed")),
    }
}

/// Whether an end of the process now would be the doing of a library.
static AT_WORK: AtomicBool = AtomicBool::new(false);

/// Says that the command is at work, or that it ends the process itself from here on. `main` says both.
pub fn at_work(yes: bool) {
    AT_WORK.store(yes, Ordering::SeqCst);
}

/// Before the first library is opened: remembers the working folder, and sees to it that a library that calls `exit`
/// does not end the command as if all were done.
fn guard() {
    remember();
    #[cfg(unix)]
    {
        static ONCE: Once = Once::new();
        unsafe extern "C" {
            fn atexit(call: extern "C" fn()) -> c_int;
            fn _exit(code: c_int) -> !;
        }
        extern "C" fn at_exit() {
            if !AT_WORK.load(Ordering::SeqCst) {
                return;
            }
            let lost = crate::files::atomic::remove_unfinished();
            let what = if lost.is_empty() { String::new() } else { format!("; {} was not written", lost.join(", ")) };
            crate::terminal::say(format_args!("error: the code of the target's library ended the process{what}"));
            // SAFETY: ends the process, whose work is lost already.
            unsafe { _exit(1) }
        }
        // SAFETY: both functions are those of C; `at_exit` needs nothing that ends before the process does.
        ONCE.call_once(|| {
            let _ = unsafe { atexit(at_exit) };
        });
    }
}

/// A copy of a C string; empty for null.
///
/// # Safety
/// `pointer` must be null or a C string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().trim().to_owned()
}

impl Drop for StanModel {
    fn drop(&mut self) {
        // SAFETY: the model is alive, and nothing refers to it after this.
        unsafe { (self.interface.destruct)(self.model) }
    }
}

impl Density for StanModel {
    fn dim(&self) -> usize {
        self.free_dim
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        assert_eq!((x.rows(), x.cols()), (out.len(), self.free_dim), "StanModel: points and results");
        out.par_iter_mut().zip(x.as_slice().par_chunks(self.free_dim)).for_each(|(l, u)| *l = self.at(u, None));
        stay();
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        assert_eq!((x.rows(), x.cols()), (log_density.len(), self.free_dim), "StanModel: points and results");
        assert_eq!(x.shape(), score.shape(), "StanModel: points and scores");
        let rows = x.as_slice().par_chunks(self.free_dim).zip(score.as_mut_slice().par_chunks_mut(self.free_dim));
        log_density.par_iter_mut().zip(rows).for_each(|(l, (u, s))| {
            *l = self.at(u, Some(&mut *s));
            if *l == f64::NEG_INFINITY {
                s.fill(0.0);
            }
        });
        stay();
    }
}
