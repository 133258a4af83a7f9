//! What a file says of an equivariant network: its particles.

use crate::files::safetensors::Metadata;
use pushforward::linalg::MeanFree;
use pushforward::nn::Network;
use serde_json::json;

/// [n, k] in the metadata: n particles in R^k.
pub(super) const KEY: &str = "equivariant";

/// Writes the particles of a network that has some.
pub(super) fn put(metadata: &mut Metadata, particles: Option<MeanFree>) {
    if let Some(MeanFree { particles, dim }) = particles {
        metadata.insert(KEY.into(), json!([particles, dim]).to_string());
    }
}

/// What [`put`] wrote, of a network with these layers in R^d.
pub(super) fn of(metadata: &Metadata, hidden: &[usize], codes: usize, d: usize) -> Result<Option<MeanFree>, String> {
    let Some(text) = metadata.get(KEY) else { return Ok(None) };
    let setting: Vec<usize> = serde_json::from_str(text).map_err(|e| format!("'{KEY}' is {text} ({e})"))?;
    let space = Network::particles(KEY, &setting, hidden).map_err(|e| e.to_string())?;
    Network::check_dimension(KEY, space, d).map_err(|e| e.to_string())?;
    if codes > 0 { Err(format!("'{KEY}' is {text}, for a network with {codes} codes")) } else { Ok(space) }
}
