//! The coordinates in which a target's samples are written, beside those of its density.

use crate::failure::{Failure, Outcome};
use crate::target::formula::Program;
use crate::target::stan::StanModel;
use pushforward::Error;
use pushforward::density::{Chart, Density, MeanFree};
use pushforward::linalg::Matrix;
use std::sync::Arc;

/// The parameters of a formula by their names, and what is generated from them.
pub struct Named {
    chart: Chart,
    names: Vec<String>,
    generated: Option<Arc<Program>>,
}

impl Named {
    /// Parameters with these names, a name for each coordinate of the chart, and where there is one the program of generated quantities,
    /// whose own names follow unless the list has names for them too.
    pub(crate) fn new(chart: Chart, mut names: Vec<String>, generated: Option<Arc<Program>>) -> Self {
        if names.len() == chart.dim() {
            names.extend(generated.iter().flat_map(|p| p.generated.iter().flat_map(|(names, _)| names.clone())));
        }
        Self { chart, names, generated }
    }

    fn is_identity(&self) -> bool {
        self.generated.is_none() && self.chart.is_identity()
    }

    /// The parameters at u, without what is generated from them.
    fn parameters(&self, u: &Matrix) -> Matrix {
        let x = self.chart.constrain(u);
        match &self.generated {
            Some(program) => first_columns(program.generate(&x), x.cols()),
            None => x,
        }
    }
}

/// How samples come from points u of the density.
#[derive(Clone)]
pub enum Coordinates {
    /// They are these points, of so many coordinates.
    Same(usize),
    /// They are these points, so many unconstrained parameters of a Stan model whose library is not opened.
    Free(usize),
    /// Positions of particles whose mean is 0.
    Particles(MeanFree),
    /// A chart of this library.
    Chart(Chart),
    /// A chart, names, and generated quantities behind the parameters.
    Named(Arc<Named>),
    /// The constraining transform of a Stan model.
    Stan(Arc<StanModel>),
}

impl Coordinates {
    /// Of a density of the registry: positions where it is one of particles.
    pub fn of(density: &dyn Density) -> Self {
        density.n_body().map_or(Coordinates::Same(density.dim()), |p| Coordinates::Particles(p.space()))
    }

    /// Columns of a file of samples.
    pub fn dim(&self) -> usize {
        match self {
            Coordinates::Same(d) | Coordinates::Free(d) => *d,
            Coordinates::Particles(space) => space.positions_dim(),
            Coordinates::Chart(chart) => chart.dim(),
            Coordinates::Named(named) => named.names.len(),
            Coordinates::Stan(model) => model.names().len(),
        }
    }

    /// The first so many of these columns are parameters, the others generated from them.
    pub fn parameters(&self) -> usize {
        match self {
            Coordinates::Named(named) => named.chart.dim(),
            _ => self.dim(),
        }
    }

    /// Coordinates of u.
    pub fn free_dim(&self) -> usize {
        match self {
            Coordinates::Same(d) | Coordinates::Free(d) => *d,
            Coordinates::Particles(space) => space.free_dim(),
            Coordinates::Chart(chart) => chart.free_dim(),
            Coordinates::Named(named) => named.chart.free_dim(),
            Coordinates::Stan(model) => model.free_dim(),
        }
    }

    /// Names of the columns of a file of samples.
    pub fn names(&self) -> Vec<String> {
        match self {
            Coordinates::Stan(model) => model.names().to_vec(),
            Coordinates::Named(named) => named.names.clone(),
            Coordinates::Free(d) => (1..=*d).map(|j| format!("u{j}")).collect(),
            _ => (1..=self.dim()).map(|j| format!("x{j}")).collect(),
        }
    }

    /// Whether samples are not the points of the density.
    pub fn differ(&self) -> bool {
        self.has_support() || matches!(self, Coordinates::Particles(_))
    }

    /// Whether samples keep to a part of R^d or to a scale of their own.
    pub fn has_support(&self) -> bool {
        match self {
            Coordinates::Same(_) | Coordinates::Free(_) | Coordinates::Particles(_) => false,
            Coordinates::Named(named) => !named.is_identity(),
            Coordinates::Chart(_) | Coordinates::Stan(_) => true,
        }
    }

    /// Which arrays hold samples, where not only n×d ones do.
    pub fn shape(&self) -> Option<String> {
        match self {
            Coordinates::Particles(space) => {
                Some(format!("(n, {}) or (n, {}, {})", space.positions_dim(), space.particles, space.dim))
            }
            _ => None,
        }
    }

    /// What the points of the density are, where samples differ from them.
    pub fn of_density(&self) -> Option<&'static str> {
        self.differ().then_some(match self {
            Coordinates::Particles(_) => "orthonormal coordinates of the configurations with mean 0",
            _ => "the unconstrained coordinates, with the Jacobian",
        })
    }

    /// What a user should know about them.
    pub fn note(&self) -> Option<String> {
        matches!(self, Coordinates::Free(_)).then(|| {
            "these are the unconstrained parameters of a Stan model; its own coordinates need its library, which --trust-library opens".into()
        })
    }

    /// The chart between points and samples, where there is one of this library that moves them.
    pub fn chart(&self) -> Option<&Chart> {
        let chart = match self {
            Coordinates::Chart(chart) => chart,
            Coordinates::Named(named) => &named.chart,
            _ => return None,
        };
        (!chart.is_identity()).then_some(chart)
    }

    /// Samples of points u.   n×free_dim → n×dim.
    pub fn constrain(&self, u: Matrix) -> Outcome<Matrix> {
        match self {
            Coordinates::Same(_) | Coordinates::Free(_) => Ok(u),
            Coordinates::Particles(space) => Ok(space.positions(&u)),
            Coordinates::Chart(chart) => Ok(chart.constrain(&u)),
            Coordinates::Named(named) if named.is_identity() => Ok(u),
            Coordinates::Named(named) => {
                let x = named.chart.constrain(&u);
                Ok(match &named.generated {
                    Some(program) => program.generate(&x),
                    None => x,
                })
            }
            Coordinates::Stan(model) => model.constrain(&u).map_err(Failure::input),
        }
    }

    /// An error of the density in the coordinates of its parameters: where its point is one of u, it becomes that of the samples.
    pub fn in_own(&self, error: Error) -> Error {
        match error {
            Error::NonFinite { what, value, point } if self.differ() && point.len() == self.free_dim() => {
                let u = Matrix::from_vec(1, point.len(), point.clone());
                let x = match self {
                    Coordinates::Named(named) => Ok(named.parameters(&u)),
                    other => other.constrain(u),
                };
                Error::NonFinite { what, value, point: x.map_or(point, Matrix::into_vec) }
            }
            Error::TooManyFaults { skipped, steps, first } => {
                Error::TooManyFaults { skipped, steps, first: Box::new(self.in_own(*first)) }
            }
            other => other,
        }
    }

    /// log |det ∂x/∂u| at the rows of u (n×free_dim), the parameters x alone; None for a Stan model, whose library does not say it.
    pub fn log_jacobian(&self, u: &Matrix) -> Option<Vec<f64>> {
        let of = |chart: &Chart| {
            let mut x = vec![0.0; chart.dim()];
            u.iter_rows().map(|u| chart.constrain_point(u, &mut x)).collect()
        };
        match self {
            // orthonormal coordinates keep volumes
            Coordinates::Same(_) | Coordinates::Particles(_) => Some(vec![0.0; u.rows()]),
            Coordinates::Chart(chart) => Some(of(chart)),
            Coordinates::Named(named) => {
                let mut out = of(&named.chart);
                if let Some(program) = &named.generated {
                    let more = program.log_jacobian(&named.chart.constrain(u));
                    out.iter_mut().zip(more).for_each(|(l, m)| *l += m);
                }
                Some(out)
            }
            Coordinates::Free(_) | Coordinates::Stan(_) => None,
        }
    }

    /// Points u of samples.   n×dim → n×free_dim.
    pub fn free(&self, samples: Matrix) -> Outcome<Matrix> {
        self.free_of_rounded(samples, 0.5 * f64::EPSILON)
    }

    /// The same for numbers that were rounded to `unit` of their size before.
    pub fn free_of_rounded(&self, samples: Matrix, unit: f64) -> Outcome<Matrix> {
        match self {
            Coordinates::Same(_) | Coordinates::Free(_) => Ok(samples),
            Coordinates::Particles(space) => Ok(space.coordinates_of_rounded(&samples, unit)?),
            Coordinates::Chart(chart) => Ok(chart.free_of_rounded(&samples, unit)?),
            Coordinates::Named(named) if named.is_identity() => Ok(samples),
            // what is generated follows from the parameters
            Coordinates::Named(named) => {
                let x = first_columns(samples, named.chart.dim());
                let x = match &named.generated {
                    Some(program) => program.points(x),
                    None => x,
                };
                Ok(named.chart.free_of_rounded(&x, unit)?)
            }
            Coordinates::Stan(model) => model.free(&samples).map_err(Failure::input),
        }
    }
}

/// The first d columns.
fn first_columns(x: Matrix, d: usize) -> Matrix {
    if x.cols() == d { x } else { Matrix::from_fn(x.rows(), d, |i, j| x[(i, j)]) }
}
