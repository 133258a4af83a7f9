//! Generators and flows in files: model.safetensors of a run.

mod equivariant;
mod flow;
mod of_run;
mod particles;
mod search;

use crate::failure::{Failure, Outcome};
use crate::files::safetensors::{self, Metadata, Numbers, Tensor, Tensors};
use crate::memory;
use crate::saved::{Packed, tensor};
use pushforward::density::{Affine, Density, Group, Orientation};
use pushforward::linalg::Matrix;
use pushforward::model::flow::{CouplingKind, Flow};
use pushforward::model::{BEND, Classes, Generator, Latent, Pieces, Searched};
use pushforward::nn::Equivariant;
use pushforward::num::Real;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A trained generator in the precision in which it was trained, or a trained flow, always in double precision: its density is for use.
#[derive(Clone)]
pub enum Model {
    /// Single.
    F32(Generator<f32>),
    /// Double.
    F64(Generator<f64>),
    /// A normalizing flow.
    Flow(Box<Flow<f64>>),
    /// Particles, in the units of the target, n×d, and the search at whose particles they started.
    Particles(Matrix, Option<Searched>),
}

/// Most rows that are drawn at a time, and most numbers.
const BLOCK_ROWS: u64 = 1 << 16;
const BLOCK_NUMBERS: u64 = 1 << 24;

impl Model {
    /// d.
    pub fn dim(&self) -> usize {
        match self {
            Model::F32(g) => g.dim(),
            Model::F64(g) => g.dim(),
            Model::Flow(f) => f.dim(),
            Model::Particles(x, _) => x.cols(),
        }
    }

    /// Number of trainable numbers.
    pub fn size(&self) -> usize {
        match self {
            Model::F32(g) => g.size(),
            Model::F64(g) => g.size(),
            Model::Flow(f) => f.size(),
            Model::Particles(..) => 0,
        }
    }

    /// Precision of the network's numbers, in a word.
    pub fn precision(&self) -> &'static str {
        match self {
            Model::F32(_) => "f32",
            Model::F64(_) | Model::Flow(_) | Model::Particles(..) => "f64",
        }
    }

    /// The search that it came from.
    pub fn search(&self) -> Option<&Searched> {
        match self {
            Model::F32(g) => g.search.as_ref(),
            Model::F64(g) => g.search.as_ref(),
            Model::Flow(f) => f.search.as_ref(),
            Model::Particles(_, search) => search.as_ref(),
        }
    }

    /// How many samples it can give; None where any number.
    pub fn most_samples(&self) -> Option<u64> {
        if let Model::Particles(x, _) = self { Some(x.rows() as u64) } else { None }
    }

    /// Rows that are drawn at a time where many are asked for: what a seed gives depends on it.
    pub fn block_rows(&self) -> u64 {
        (BLOCK_NUMBERS / self.dim() as u64).clamp(1, BLOCK_ROWS)
    }

    /// n samples (n×d; particles give what they have) of block `block` of the stream of `seed`.
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        match self {
            Model::F32(g) => g.sample(n, seed, block),
            Model::F64(g) => g.sample(n, seed, block),
            Model::Flow(f) => f.sample_block(n, seed, block),
            Model::Particles(x, _) => {
                let from = (block as usize).saturating_mul(n).min(x.rows());
                x.slice_rows(from..(from + n).min(x.rows()))
            }
        }
    }

    /// The classes that it can draw; None for a model without.
    pub fn classes(&self) -> Option<&Classes> {
        match self {
            Model::F32(g) => g.classes.as_ref(),
            Model::F64(g) => g.classes.as_ref(),
            Model::Flow(_) | Model::Particles(..) => None,
        }
    }

    /// As [`Model::sample`], of a class with a guidance; for a model with classes.
    pub fn sample_class(&self, n: usize, class: (usize, f64), seed: u64, block: u64) -> Matrix {
        match self {
            Model::F32(g) => g.sample_class(n, class, seed, block),
            Model::F64(g) => g.sample_class(n, class, seed, block),
            Model::Flow(_) | Model::Particles(..) => unreachable!("it has no classes"),
        }
    }

    /// Where the target has symmetries, what the network of the model leads to and its first n samples, before an element of the group moved
    /// them; None where these are the target and the samples.
    pub fn before_turning(
        &self,
        target: &Arc<dyn Density>,
        n: usize,
        seed: u64,
    ) -> pushforward::error::Result<Option<(Arc<dyn Density>, Matrix)>> {
        Ok(match self {
            Model::F32(g) if g.orientation.is_some() => Some((g.aim(target)?, g.sample_oriented(n, seed, 0))),
            Model::F64(g) if g.orientation.is_some() => Some((g.aim(target)?, g.sample_oriented(n, seed, 0))),
            _ => None,
        })
    }

    /// Refuses to draw or evaluate `rows` rows at a time where that needs more memory than there is: a file of a
    /// megabyte can hold a network so wide, or a space of so many dimensions, that its samples take gigabytes.
    pub fn fits_memory(&self, rows: u64) -> Outcome<()> {
        let (rows, threads) = (u128::from(rows), rayon::current_num_threads() as u128);
        let points = 4 * rows * self.dim() as u128;
        let layers = match self {
            Model::F32(g) => generator_layers(g),
            Model::F64(g) => generator_layers(g),
            Model::Flow(f) => flow_layers(f),
            Model::Particles(..) => 0,
        };
        memory::enough(8 * (points + threads * layers), "the model of this run", "use a machine with more memory")
    }

    /// Each of the points carried by a generator that starts at samples; None where the model is no such generator.
    pub fn carry(&self, x: &Matrix) -> Option<Matrix> {
        match self {
            Model::F32(g) if matches!(g.latent, Latent::Points(_)) => Some(g.carry(x)),
            Model::F64(g) if matches!(g.latent, Latent::Points(_)) => Some(g.carry(x)),
            _ => None,
        }
    }

    /// The densities of the first n samples under `seed`: that from which exactly they came, and that of the model's law, which for a
    /// generator is another estimate by the same centres. None where there is none, or where an element of a group moved the samples.
    pub fn densities_of_samples(self, n: usize, seed: u64) -> Option<[Arc<dyn Density>; 2]> {
        fn of_generator<T: Real>(g: &Generator<T>, n: usize, seed: u64) -> Option<[Arc<dyn Density>; 2]> {
            let by = |controlled| g.density_of_samples(n, seed, controlled).filter(|_| g.orientation.is_none());
            Some([Arc::new(by(false)?), Arc::new(by(true)?)])
        }
        match self {
            Model::F32(g) => of_generator(&g, n, seed),
            Model::F64(g) => of_generator(&g, n, seed),
            Model::Flow(f) => {
                let law: Arc<dyn Density> = Arc::new(*f);
                Some([Arc::clone(&law), law])
            }
            Model::Particles(..) => None,
        }
    }

    /// The model as a density, where it has one.
    pub fn density(&self) -> Option<&dyn Density> {
        match self {
            Model::F32(_) | Model::F64(_) | Model::Particles(..) => None,
            Model::Flow(f) => Some(&**f),
        }
    }
}

/// Numbers that a thread holds while rows go through a generator, a hundred at a time: an input, two layers and an
/// output.
fn generator_layers<T: Real>(generator: &Generator<T>) -> u128 {
    let widest = generator.hidden().iter().max().copied().unwrap_or(0);
    100 * (3 * generator.dim() as u128 + 2 * widest as u128)
}

/// Numbers that a thread holds while rows go through a flow, 256 at a time: all nodes of the tape, by what each layer
/// puts on it.
fn flow_layers(flow: &Flow<f64>) -> u128 {
    let d = flow.dim() as u128;
    let components = flow.base().components as u128;
    let Some(a) = flow.architecture() else { return 0 };
    let spline = |bins: usize| 14 * bins as u128 + 40;
    let (outputs, map) = match a.coupling {
        CouplingKind::Affine => (2, 10),
        CouplingKind::Spline { bins, .. } => (3 * bins as u128, spline(bins)),
    };
    let hidden: u128 = a.hidden.iter().map(|w| 2 * *w as u128).sum();
    let couplings = a.couplings as u128 * (4 * d + hidden + d * (2 * outputs + map));
    let rest = if components > 1 { components * (4 * d + 4) } else { d * spline(16) };
    256 * (couplings + rest + 4 * d) + if components > 1 { 0 } else { 6 * d * d }
}

/// A precision in which a generator can be kept.
pub trait Stored: Packed {
    /// A generator of this precision.
    fn model(generator: Generator<Self>) -> Model;
}

impl Stored for f32 {
    fn model(generator: Generator<f32>) -> Model {
        Model::F32(generator)
    }
}

impl Stored for f64 {
    fn model(generator: Generator<f64>) -> Model {
        Model::F64(generator)
    }
}

/// Writes the model; `config` is the run's configuration as JSON.
pub fn save(path: &Path, model: &Model, config: &str) -> Outcome<()> {
    match model {
        Model::F32(g) => save_generator(path, g, config),
        Model::F64(g) => save_generator(path, g, config),
        Model::Flow(f) => flow::save(path, f, config),
        Model::Particles(x, search) => particles::save(path, x, search.as_ref(), config),
    }
}

fn save_generator<T: Stored>(path: &Path, generator: &Generator<T>, config: &str) -> Outcome<()> {
    let vector = |v: &[f64]| Tensor { shape: vec![v.len()], numbers: Numbers::F64(v.to_vec()) };
    let mut tensors = Tensors::new();
    put_frame(&mut tensors, &generator.frame);
    match &generator.latent {
        Latent::Gaussian => {}
        Latent::Codes { logits } => drop(tensors.insert("latent.logits".into(), vector(logits))),
        // under another name: a reader that knows one code a row must not draw these as such
        Latent::Product { logits, counts } => {
            tensors.insert("latent.block_logits".into(), vector(logits));
            let counts: Vec<f64> = counts.iter().map(|c| *c as f64).collect();
            tensors.insert("latent.blocks".into(), vector(&counts));
        }
        Latent::Points(x) => drop(tensors.insert("latent.points".into(), tensor(x))),
    }
    if let Some(pieces) = &generator.pieces {
        tensors.insert("latent.means".into(), tensor(pieces.means()));
        tensors.insert("latent.factors".into(), tensor(pieces.factors()));
        tensors.insert("latent.noise".into(), vector(&[generator.noise]));
    }
    if let Some(classes) = &generator.classes {
        let codes: Vec<f64> = classes.of_codes.iter().map(|c| *c as f64).collect();
        tensors.insert("latent.classes".into(), vector(&codes));
        tensors.insert("latent.labels".into(), vector(&classes.names));
        tensors.insert("latent.guidance".into(), vector(&[classes.guidance]));
    }
    search::put(&mut tensors, generator.search.as_ref());
    put_orientation(&mut tensors, generator.orientation.as_deref());
    for (name, p) in generator.parameter_names().into_iter().zip(&generator.parameters) {
        let tensor = Tensor { shape: vec![p.rows(), p.cols()], numbers: T::pack(p.as_slice()) };
        tensors.insert(format!("network.{name}"), tensor);
    }
    let hidden = serde_json::to_string(generator.hidden()).expect("a list of whole numbers is JSON");
    let constants = json!({ "activation": "x*sigmoid(x)", "bend": BEND }).to_string();
    let metadata = [("config", config.into()), ("hidden", hidden), ("constants", constants)];
    let mut metadata: Metadata = metadata.map(|(key, text)| (key.to_string(), text)).into();
    equivariant::put(&mut metadata, generator.particles());
    safetensors::write(path, &tensors, &metadata)
}

/// Reads a model that [`save`] wrote.
pub fn load(path: &Path) -> Outcome<Model> {
    load_with_config(path).map(|(model, _)| model)
}

/// The same, with the configuration that it carries.
pub fn load_with_config(path: &Path) -> Outcome<(Model, String)> {
    let (tensors, mut metadata) = safetensors::read(path)?;
    let single = tensors.values().any(|t| matches!(t.numbers, Numbers::F32(_)));
    let model = if metadata.contains_key(flow::KEY) {
        flow::rebuild(&tensors, &metadata)
    } else if tensors.contains_key(particles::KEY) {
        particles::rebuild(&tensors)
    } else if single {
        rebuild::<f32>(&tensors, &metadata)
    } else {
        rebuild::<f64>(&tensors, &metadata)
    };
    let model =
        model.map_err(|why| Failure::input(format!("{}: {why}; this is not the model of a run", path.display())))?;
    Ok((model, metadata.remove("config").unwrap_or_default()))
}

/// The numbers of a tensor in double precision.
fn doubles(tensors: &Tensors, name: &str) -> Option<Vec<f64>> {
    tensors.get(name).and_then(|t| f64::unpack(&t.numbers)).map(<[f64]>::to_vec)
}

/// Numbers in the tensors whose name is one of a parameter.
fn held(tensors: &Tensors, is_parameter: impl Fn(&str) -> bool) -> usize {
    tensors.iter().filter(|(name, _)| is_parameter(name)).map(|(_, t)| t.numbers.len()).sum()
}

/// Adds the units of a model: its centre, and its scale or its factor.
fn put_frame(tensors: &mut Tensors, frame: &Affine) {
    let vector = |v: &[f64]| Tensor { shape: vec![v.len()], numbers: Numbers::F64(v.to_vec()) };
    tensors.insert("frame.centre".into(), vector(frame.centre()));
    match frame.one_scale() {
        Some(scale) => tensors.insert("frame.scale".into(), vector(&[scale])),
        None => tensors.insert("frame.factor".into(), tensor(&frame.parts().1)),
    };
}

/// The units of a model.
fn frame(tensors: &Tensors) -> Result<Affine, String> {
    let centre = doubles(tensors, "frame.centre").ok_or("there is no frame.centre")?;
    let d = centre.len();
    let frame = match (doubles(tensors, "frame.factor"), doubles(tensors, "frame.scale")) {
        (Some(factor), _) if factor.len() == d * d && d > 0 => {
            Affine::from_parts(centre, Matrix::from_vec(d, d, factor))
        }
        (None, Some(scale)) if scale.len() == 1 && d > 0 => Affine::new(centre, scale[0]),
        (None, None) => return Err("there is no frame.scale".into()),
        _ => return Err(format!("the frame has {d} coordinates and a factor of another size")),
    };
    frame.map_err(|e| format!("the frame: {e}"))
}

fn rebuild<T: Stored>(tensors: &Tensors, metadata: &Metadata) -> Result<Model, String> {
    let frame = frame(tensors)?;
    let points = tensors.get("latent.points").map(|t| t.shape.first().copied().unwrap_or(0));
    let logits = doubles(tensors, "latent.logits");
    let latent = match (blocks_of(tensors)?, logits, points) {
        (Some(latent), ..) => latent,
        (None, Some(logits), _) => Latent::Codes { logits },
        (None, None, Some(0)) => return Err("latent.points holds no points".into()),
        (None, None, Some(n)) => Latent::Points(Arc::new(parameter_of(tensors, "latent.points", (n, frame.dim()))?)),
        (None, None, None) => Latent::Gaussian,
    };
    let hidden = metadata.get("hidden").ok_or("there is no 'hidden' in the metadata")?;
    let hidden: Vec<usize> = serde_json::from_str(hidden).map_err(|e| format!("'hidden' is {hidden} ({e})"))?;
    let codes = latent.codes();
    if tensors.contains_key("latent.logits") && codes == 0 || hidden.contains(&0) {
        return Err(format!("'hidden' is {hidden:?} and there are {codes} codes; none can be 0"));
    }
    // before anything of that size is made
    let held = held(tensors, |name| name.starts_with("network."));
    let classes = classes_of(tensors, codes)?;
    let guided = if classes.is_some() { 2 * codes * frame.dim() } else { 0 };
    let particles = equivariant::of(metadata, &hidden, codes, frame.dim())?;
    let size = match particles {
        Some(_) => Equivariant::size(hidden[0], hidden.len()),
        None => Generator::<T>::size_of(frame.dim(), codes, &hidden).and_then(|n| n.checked_add(guided)),
    };
    if size != Some(held) {
        return Err(format!("layers {hidden:?} with {codes} codes do not fit a file of {held} parameters"));
    }
    let mut generator: Generator<T> = match particles {
        Some(space) => Generator::of_particles(frame, space, (hidden[0], hidden.len()), 0),
        None => Generator::new(frame, latent, &hidden, 0),
    };
    if let Some(classes) = classes {
        generator = generator.with_classes(classes);
    }
    if codes > 0 {
        let d = generator.dim();
        let (means, factors) = ("latent.means", "latent.factors");
        let pieces = (parameter_of(tensors, means, (codes, d))?, parameter_of(tensors, factors, (codes, d * d))?);
        generator.pieces = Some(Pieces::new(pieces.0, pieces.1));
        generator.noise = match doubles(tensors, "latent.noise").as_deref() {
            Some(&[h]) if (0.0..=1.0).contains(&h) => h,
            _ => return Err("latent.noise is not a number from 0 to 1".into()),
        };
        if matches!(generator.latent, Latent::Product { .. }) && (generator.noise > 0.0 || generator.classes.is_some())
        {
            return Err("latent.blocks are there, with which there are no noise and no classes".into());
        }
    }
    generator.search = search::of(tensors, generator.dim())?;
    generator.orientation = orientation_of(tensors, generator.dim())?.map(Arc::new);
    for (name, parameter) in generator.parameter_names().into_iter().zip(&mut generator.parameters) {
        *parameter = Arc::new(parameter_of(tensors, &format!("network.{name}"), parameter.shape())?.into());
    }
    Ok(T::model(generator))
}

/// The law of a code of each of several blocks.
fn blocks_of(tensors: &Tensors) -> Result<Option<Latent>, String> {
    let Some(counts) = doubles(tensors, "latent.blocks") else { return Ok(None) };
    let logits = doubles(tensors, "latent.block_logits").ok_or("there is no latent.block_logits")?;
    let counts: Vec<usize> = counts.into_iter().map(|c| c as usize).collect();
    let total = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count));
    if total != Some(logits.len()) || counts.contains(&0) || counts.len() < 2 {
        return Err(format!("latent.blocks are {counts:?}, which are not several blocks of {} codes", logits.len()));
    }
    Ok(Some(Latent::of_blocks(logits, counts)))
}

/// The classes of a generator with `codes` codes.
fn classes_of(tensors: &Tensors, codes: usize) -> Result<Option<Classes>, String> {
    let Some(of_codes) = doubles(tensors, "latent.classes") else { return Ok(None) };
    let names = doubles(tensors, "latent.labels").unwrap_or_default();
    let guidance = doubles(tensors, "latent.guidance").and_then(|g| g.first().copied()).unwrap_or(f64::NAN);
    let classes = Classes { of_codes: of_codes.into_iter().map(|c| c as usize).collect(), names, guidance };
    if !classes.fit(codes) {
        return Err(format!("latent.classes and latent.labels are not classes of {codes} codes"));
    }
    Ok(Some(classes))
}

/// What turns samples of a model, one row for each element of the group.
fn put_orientation(tensors: &mut Tensors, orientation: Option<&Orientation>) {
    let Some(orientation) = orientation else { return };
    tensors.insert("symmetry.elements".into(), tensor(&orientation.group().rows()));
    tensors.extend(orientation.group().turn().map(|turn| ("symmetry.turn".into(), tensor(turn))));
    tensors.insert("symmetry.template".into(), tensor(&Matrix::from_rows(&[orientation.template()])));
}

/// What [`put_orientation`] wrote, of a model in R^d.
fn orientation_of(tensors: &Tensors, d: usize) -> Result<Option<Orientation>, String> {
    let Some(elements) = tensors.get("symmetry.elements") else { return Ok(None) };
    let count = elements.shape.first().copied().unwrap_or(0);
    let elements: Matrix = parameter_of(tensors, "symmetry.elements", (count, d * d))?;
    let turn = tensors.contains_key("symmetry.turn");
    let turn = turn.then(|| parameter_of(tensors, "symmetry.turn", (d, d))).transpose()?;
    let template: Matrix = parameter_of(tensors, "symmetry.template", (1, d))?;
    let group = Group::of_rows(&elements, turn).map_err(|e| format!("the symmetries: {e}"))?;
    Orientation::new(group, template.into_vec()).map(Some).map_err(|e| format!("the symmetries: {e}"))
}

/// A finite matrix of a given shape.
fn parameter_of<T: Stored>(tensors: &Tensors, name: &str, shape: (usize, usize)) -> Result<Matrix<T>, String> {
    let tensor = tensors.get(name).ok_or(format!("there is no {name}"))?;
    let values = T::unpack(&tensor.numbers).ok_or(format!("{name} has another precision"))?;
    if tensor.shape != [shape.0, shape.1] {
        return Err(format!("{name} is {:?}, not {shape:?}", tensor.shape));
    }
    if !values.iter().all(|v| v.is_finite()) {
        return Err(format!("{name} holds a number that is not finite"));
    }
    Ok(Matrix::from_vec(shape.0, shape.1, values.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::linalg::MeanFree;
    use pushforward::model::flow::Architecture;

    /// Checks that a generator on particles draws the same bits when it was saved and loaded, and that particles which do not fit are refused.
    #[test]
    fn equivariant_generators_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let space = MeanFree { particles: 4, dim: 2 };
        let frame = Affine::new(vec![0.0; 6], 1.7).unwrap();
        let mut generator: Generator<f32> = Generator::of_particles(frame, space, (7, 3), 3);
        for p in &mut generator.parameters {
            *p = Arc::new(Matrix::from_fn(p.rows(), p.cols(), |i, j| ((i + 2 * j) as f32).sin() * 0.3).into());
        }
        save(&path, &Model::F32(generator.clone()), "{}").unwrap();
        assert_eq!(load(&path).unwrap().sample(300, 4, 2), generator.sample(300, 4, 2));
        let (tensors, mut metadata) = safetensors::read(&path).unwrap();
        for (particles, hidden) in
            [("[5, 2]", "[7,7,7]"), ("[4]", "[7,7,7]"), ("[4, 2]", "[7,7]"), ("[4, 2]", "[7,8,7]")]
        {
            metadata.insert(equivariant::KEY.into(), particles.into());
            metadata.insert("hidden".into(), hidden.into());
            assert!(rebuild::<f32>(&tensors, &metadata).is_err(), "{particles} {hidden}");
        }
    }

    /// Checks that a generator that was saved and loaded draws the same bits, with and without codes and hidden layers,
    /// in both precisions, in 1 to 5 dimensions.
    #[test]
    fn generators_come_back() {
        fn check<T: Stored>(d: usize, latent: Latent, hidden: &[usize]) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.safetensors");
            let generator: Generator<T> = Generator::new(frame_in(d), latent, hidden, 3);
            save(&path, &T::model(generator.clone()), "{}").unwrap();
            assert_eq!(load(&path).unwrap().sample(300, 4, 2), generator.sample(300, 4, 2), "{d}, {hidden:?}");
        }
        for d in 1..=5 {
            let points = Latent::Points(Arc::new(Matrix::from_fn(9, d, |i, j| (i * j) as f64 - 0.5)));
            let codes = [vec![0.5], vec![0.5, -1.0, 0.0]].map(|logits| Latent::Codes { logits });
            let blocks = Latent::of_blocks(vec![0.5, -1.0, 0.0], vec![2, 1]);
            for latent in [Latent::Gaussian, points, blocks].into_iter().chain(codes) {
                for hidden in [&[][..], &[8], &[8, 5], &[1, 300, 2]] {
                    check::<f32>(d, latent.clone(), hidden);
                    check::<f64>(d, latent.clone(), hidden);
                }
            }
        }
    }

    /// Checks that a flow that was saved and loaded draws the same bits and has the same density, for both kinds of
    /// couplings, any number of them, with and without a mixture for its base, whatever the hidden layers are, also
    /// where no network has any, in 1 to 5 dimensions.
    #[test]
    fn flows_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let kinds = [
            CouplingKind::Affine,
            CouplingKind::Spline { bins: 1, reach: 3.0 },
            CouplingKind::Spline { bins: 8, reach: 4.0 },
        ];
        for (d, coupling) in (1..=5).flat_map(|d| kinds.map(|kind| (d, kind))) {
            for (couplings, components) in [0, 1, 2, 7].into_iter().flat_map(|n| [(n, 1), (n, 3)]) {
                for hidden in [vec![], vec![64], vec![500, 2]] {
                    let architecture = Architecture { coupling, couplings, hidden, components, given: 0 };
                    let words = format!("{d} dimensions, {architecture:?}");
                    let mut flow: Flow<f64> = Flow::new(frame_in(d), architecture, 3);
                    for (k, p) in flow.parameters.iter_mut().enumerate() {
                        let moved = p.map(|v| v + 0.1 * ((k + 1) as f64).sin());
                        *p = std::sync::Arc::new(moved.into());
                    }
                    save(&path, &Model::Flow(Box::new(flow.clone())), "{}").unwrap();
                    let back = load(&path).unwrap_or_else(|e| panic!("{words}: {e}"));
                    let x = flow.sample_block(50, 4, 2);
                    assert_eq!(back.sample(50, 4, 2), x, "{words}");
                    assert_eq!(back.density().unwrap().log_density(&x), flow.log_density(&x), "{words}");
                }
            }
        }
    }

    /// Checks that no architecture in a file is built that does not have exactly the file's numbers, however large it
    /// says it is.
    #[test]
    fn flows_of_other_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let architecture =
            Architecture { coupling: CouplingKind::Affine, couplings: 2, hidden: vec![4], components: 1, given: 0 };
        let flow: Flow<f64> = Flow::new(frame_in(2), architecture, 3);
        save(&path, &Model::Flow(Box::new(flow)), "{}").unwrap();
        let (tensors, mut metadata) = safetensors::read(&path).unwrap();
        let mut read = |couplings: &str, hidden: &str, components: &str, rest: &str| {
            let text = format!("{{\"couplings\":{couplings},\"hidden\":{hidden},\"components\":{components}{rest}}}");
            metadata.insert("flow".into(), text);
            safetensors::write(&path, &tensors, &metadata).unwrap();
            load(&path).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(read("2", "[4]", "1", ""), Ok(()));
        for (couplings, hidden, components, rest) in [
            ("1000000000", "[4]", "1", ""),
            ("18446744073709551615", "[4]", "1", ""),
            ("3", "[4]", "1", ""),
            ("2", "[4,4]", "1", ""),
            ("2", "[100000,100000,100000]", "1", ""),
            ("2", "[0]", "1", ""),
            ("2", "[4]", "0", ""),
            ("2", "[4]", "1000000000", ""),
            ("2", "[4]", "1", ",\"spline\":[1000000000,3.0]"),
            ("2", "[4]", "1", ",\"spline\":[8,0.0]"),
            ("2", "[4]", "1", ",\"spline\":[0,1.0]"),
            ("-2", "[4]", "1", ""),
        ] {
            let answer = read(couplings, hidden, components, rest).unwrap_err();
            assert!(answer.contains("not the model of a run"), "{answer}");
        }
    }

    fn frame_in(d: usize) -> Affine {
        Affine::new((0..d).map(|j| j as f64 - 2.0).collect(), 7.0).unwrap()
    }

    /// Checks that a file with a right checksum and wrong content is refused before its announced sizes are believed.
    #[test]
    fn wrong_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let generator: Generator<f64> = Generator::new(Affine::identity(1), Latent::Gaussian, &[4], 3);
        save(&path, &Model::F64(generator), "{}").unwrap();
        let (tensors, mut metadata) = safetensors::read(&path).unwrap();
        for hidden in ["[5]", "[0]", "[99999999999]", "[-1]", "7", "[4,4]"] {
            metadata.insert("hidden".into(), hidden.into());
            safetensors::write(&path, &tensors, &metadata).unwrap();
            assert!(load(&path).is_err(), "{hidden}");
        }
        metadata.insert("hidden".into(), "[4]".into());
        for name in tensors.keys() {
            let mut fewer = tensors.clone();
            fewer.remove(name);
            safetensors::write(&path, &fewer, &metadata).unwrap();
            assert!(load(&path).is_err(), "without {name}");
        }
    }
}
