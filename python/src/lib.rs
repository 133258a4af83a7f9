//! `pushforward._core`: the command's runs as objects of Python. The package around it is in `pushforward/`.

mod convert;
mod host;
mod model;
mod pool;
mod run;
mod target;

use pyo3::prelude::*;

/// Runs, targets and models.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::run::Run;
    #[pymodule_export]
    use super::target::Target;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        // progress is shown by the package
        pushforward_cli::progress::draw(false);
        Ok(())
    }
}
