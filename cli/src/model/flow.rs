//! Flows in files.

use super::{Model, frame, held, parameter_of, put_frame, search};
use crate::failure::Outcome;
use crate::files::safetensors::{self, Metadata, Numbers, Tensor, Tensors};
use pushforward::linalg::Matrix;
use pushforward::model::flow::{AffineCoupling, Architecture, CouplingKind, Flow, Layer, SplineCoupling};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The word under which the metadata hold the architecture; only flows have it.
pub const KEY: &str = "flow";

/// The word of its layers.
const LAYERS: &str = "layers";

/// What a flow is made of, as JSON.
#[derive(Serialize, Deserialize)]
struct Stack {
    couplings: usize,
    hidden: Vec<usize>,
    components: usize,
    /// Conditions; absent where there are none.
    #[serde(default, skip_serializing_if = "is_none")]
    given: usize,
    /// Bins and reach of splines; absent for affine couplings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spline: Option<(usize, f64)>,
}

/// Whether a number of conditions is left out.
fn is_none(given: &usize) -> bool {
    *given == 0
}

/// Writes a flow.
pub fn save(path: &Path, flow: &Flow<f64>, config: &str) -> Outcome<()> {
    let a = flow.architecture().expect("a flow of the command has an architecture");
    let spline = match a.coupling {
        CouplingKind::Affine => None,
        CouplingKind::Spline { bins, reach } => Some((bins, reach)),
    };
    let (couplings, hidden, components) = (a.couplings, a.hidden.clone(), flow.base().components);
    let stack = Stack { couplings, hidden, components, given: a.given, spline };
    let tensor = |m: &Matrix| Tensor { shape: vec![m.rows(), m.cols()], numbers: Numbers::F64(m.as_slice().to_vec()) };
    let mut tensors = Tensors::new();
    put_frame(&mut tensors, &flow.frame);
    search::put(&mut tensors, flow.search.as_ref());
    for (name, p) in flow.parameter_names().into_iter().zip(&flow.parameters) {
        tensors.insert(name, tensor(p));
    }
    let stack = serde_json::to_string(&stack).expect("numbers are JSON");
    let metadata = [
        ("config", config.into()),
        (KEY, stack),
        (LAYERS, layers(flow)),
        (
            "constants",
            json!({
                "activation": "x*sigmoid(x)", "affine_reach": AffineCoupling::REACH, "min_bin": SplineCoupling::MIN_BIN,
                "min_slope": SplineCoupling::MIN_SLOPE,
            })
            .to_string(),
        ),
    ];
    safetensors::write(path, &tensors, &metadata.map(|(key, text)| (key.to_string(), text)).into())
}

/// The layers in their order, with what no tensor says of them: which coordinates (from 0) a coupling keeps, bins and reach of splines.
fn layers(flow: &Flow<f64>) -> String {
    let one = |layer: &Layer| match layer {
        Layer::Affine(c) => json!({ "kind": "affine", "kept": c.split.kept() }),
        Layer::Spline(c) => {
            let (bins, reach) = c.knots_on();
            json!({ "kind": "spline", "kept": c.split.kept(), "bins": bins, "reach": reach })
        }
        Layer::Linear(_) => json!({ "kind": "linear" }),
        Layer::ActNorm(_) => json!({ "kind": "act-norm" }),
    };
    Value::Array(flow.layers().iter().map(one).collect()).to_string()
}

/// The flow that [`save`] wrote.
pub fn rebuild(tensors: &Tensors, metadata: &Metadata) -> Result<Model, String> {
    let frame = frame(tensors)?;
    let text = metadata.get(KEY).ok_or("there is no 'flow' in the metadata")?;
    let stack: Stack = serde_json::from_str(text).map_err(|e| format!("'flow' is {text} ({e})"))?;
    let (bins, reach) = stack.spline.unwrap_or((1, 1.0));
    if stack.components == 0 || bins == 0 || stack.hidden.contains(&0) || !(reach > 0.0 && reach.is_finite()) {
        return Err(format!("'flow' is {text}; none of its sizes can be 0"));
    }
    let coupling = stack.spline.map_or(CouplingKind::Affine, |(bins, reach)| CouplingKind::Spline { bins, reach });
    let Stack { couplings, hidden, components, given, .. } = stack;
    if given >= frame.dim() {
        return Err(format!("'flow' is {text}; fewer conditions than coordinates are possible"));
    }
    let architecture = Architecture { coupling, couplings, hidden, components, given };
    // before anything of that size is made
    let held = held(tensors, |name| !name.starts_with("frame.") && !name.starts_with("search."));
    if architecture.couplings > tensors.len() || architecture.size(frame.dim()) != Some(held) {
        return Err(format!("'flow' is {text}, which does not fit a file of {held} parameters"));
    }
    let mut flow: Flow<f64> = Flow::new(frame, architecture, 0);
    // files of format 1 have none
    if metadata.get(LAYERS).is_some_and(|own| *own != layers(&flow)) {
        return Err(format!("'flow' is {text}, and 'layers' says something else"));
    }
    flow.search = search::of(tensors, flow.dim())?;
    for (name, parameter) in flow.parameter_names().into_iter().zip(&mut flow.parameters) {
        *parameter = Arc::new(parameter_of(tensors, &name, parameter.shape())?.into());
    }
    Ok(Model::Flow(Box::new(flow)))
}
