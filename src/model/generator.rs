//! The generator: a network that maps latent points to samples in one pass.

use crate::Result;
use crate::autodiff::Var;
use crate::density::{Affine, Density, GaussianMixture, Orientation, Oriented};
use crate::linalg::{Cholesky, Matrix, MeanFree, matmul, solve_lower};
use crate::model::Searched;
use crate::model::batch::Batch;
use crate::model::centres::CentreDensity;
use crate::model::classes::Classes;
use crate::model::latent::{Latent, LatentBatch};
use crate::model::pieces::Pieces;
use crate::nn::{Equivariant, Inference, Mlp, Network, Parameters};
use crate::num::{Real, ln, mean, tanh_slice};
use crate::parallel;
use crate::rng::{Purpose, Stream, stream};
use std::sync::Arc;

/// A one-step sampler: x = centre + scale · y with
///
/// - y = m_k + A_k (z' + s_k + MLP(c_k, z') + hξ), z' = √(1 - h²) z, for a latent with codes: the [`Pieces`] m_k and A_k and the noise
///   level 0 ≤ h ≤ 1 are fixed, a shift s_k ∈ R^d and an embedding c_k ∈ R^d are learned for each code k; ξ ~ N(0, I) beside z. With
///   h > 0 the law has a density that can be estimated and certified ([`CentreDensity`]), and the network's output goes through
///   3 tanh(·/3), so that the law's tails are those of the pieces; with [`Classes`] a guidance w moves c_k by w c'_k and s_k by w s'_k,
///   both learned; for a latent with a code of each of B blocks of coordinates m, A, c and s are sums over its codes, and h = 0;
/// - y = z + MLP(z) for a Gaussian latent, and for samples of another law ([`Generator::at_source`]); with an [`Equivariant`] network
///   ([`Generator::of_particles`]) G exchanges, turns and reflects with the particles, and so does the law of G(z).
///
/// With an [`Orientation`] x is then moved by an element of its group, uniform and independent of x.
#[derive(Debug, Clone)]
pub struct Generator<T: Real = f32> {
    /// The law of the input.
    pub latent: Latent,
    /// The units.
    pub frame: Affine,
    /// Trainable matrices in the order of [`Generator::parameter_names`].
    pub parameters: Parameters<T>,
    /// m_k and A_k, for a latent with codes.
    pub pieces: Option<Pieces>,
    /// h; 0 without codes.
    pub noise: f64,
    /// The classes of the codes.
    pub classes: Option<Classes>,
    /// What the search found that it started from.
    pub search: Option<Searched>,
    /// Of a target with symmetries: the network has the law p s, and each sample is moved by a uniform element of the group.
    pub orientation: Option<Arc<Orientation>>,
    hidden: Vec<usize>,
    network: Network,
}

/// Largest output of the network of a generator with noise, in units of a piece.
pub const BEND: f64 = 3.0;

/// Most rows whose Jacobian a step looks at; fewer where their differences would be more rows than its batch has, and at least 4.
const TURNED: usize = 16;

/// Rows that go through the whole network before the next ones; a multiple of the rows of a tile, and few enough for the second-level
/// cache at the usual widths.
const BLOCK: usize = 96;

impl<T: Real> Generator<T> {
    /// A fresh generator in R^d, d the frame's, with hidden layers of the given widths; its parameters and pieces are drawn under `seed`.
    pub fn new(frame: Affine, latent: Latent, hidden: &[usize], seed: u64) -> Self {
        Self::begin(frame, latent, hidden, seed, Network::initialise)
    }

    /// The same, its network begun by `initial`.
    fn begin(
        frame: Affine,
        latent: Latent,
        hidden: &[usize],
        seed: u64,
        initial: fn(&Network, &mut Stream) -> Vec<Matrix<T>>,
    ) -> Self {
        let (d, codes) = (frame.dim(), latent.codes());
        let network = Network::Mlp(Mlp::new([&[if codes > 0 { 2 * d } else { d }], hidden, &[d]].concat()));
        let mut rng = stream(seed, Purpose::Initialise, 0);
        let pieces = (codes > 0).then(|| Pieces::fresh(codes, d, &mut rng));
        let own = pieces.iter().flat_map(|p| [p.means().cast(), Matrix::zeros(codes, d)]);
        let parameters: Vec<_> = own.chain(initial(&network, &mut rng)).map(|m| Arc::new(m.into())).collect();
        Self {
            latent,
            frame,
            parameters,
            pieces,
            noise: 0.0,
            classes: None,
            search: None,
            orientation: None,
            hidden: hidden.to_vec(),
            network,
        }
    }

    /// The generator y = z + network(z), z ~ N(0, I), with an equivariant network of `layers` layers of `width` features on `particles`; it
    /// begins at the identity. The frame must turn with the particles: its centre is 0, and it has one scale.
    #[track_caller]
    pub fn of_particles(frame: Affine, particles: MeanFree, (width, layers): (usize, usize), seed: u64) -> Self {
        assert_eq!(frame.dim(), particles.free_dim(), "Generator::of_particles: dimension of the frame");
        let network = Network::Equivariant(Equivariant::new(particles, width, layers, 0, false));
        let initial = network.initialise(&mut stream(seed, Purpose::Initialise, 0));
        let parameters = initial.into_iter().map(|m: Matrix<T>| Arc::new(m.into())).collect();
        let hidden = vec![width; layers];
        Self { parameters, network, hidden, ..Self::new(frame, Latent::Gaussian, &[], seed) }
    }

    /// The particles of an equivariant network.
    pub fn particles(&self) -> Option<MeanFree> {
        match &self.network {
            Network::Equivariant(network) => Some(network.space()),
            Network::Mlp(_) => None,
        }
    }

    /// The generator whose law is the mixture p, in units of the frame: a code for each component, and a network whose output is 0; with
    /// noise h, 0 ≤ h ≤ 1.
    pub fn at_mixture(frame: Affine, p: &GaussianMixture, hidden: &[usize], noise: f64, seed: u64) -> Self {
        let latent = Latent::Codes { logits: p.weights().iter().map(|w| ln(*w)).collect() };
        let mut out = Self::begin(frame, latent, hidden, seed, Network::silent);
        let pieces = Pieces::of_mixture(p);
        out.parameters[0] = Arc::new(pieces.means().cast().into());
        (out.pieces, out.noise) = (Some(pieces), noise);
        out
    }

    /// The generator whose law is the product of mixtures on blocks of coordinates, in units of the frame: a code of each block for each of its
    /// components, no noise, and a network whose output is 0. The blocks are a partition of the coordinates.
    pub fn at_product(frame: Affine, parts: &[(Vec<usize>, GaussianMixture)], hidden: &[usize], seed: u64) -> Self {
        let logits = parts.iter().flat_map(|(_, p)| p.weights().iter().map(|w| ln(*w))).collect();
        let latent = Latent::of_blocks(logits, parts.iter().map(|(_, p)| p.components()).collect());
        let pieces = Pieces::of_blocks(frame.dim(), parts);
        let mut out = Self::begin(frame, latent, hidden, seed, Network::silent);
        out.parameters[0] = Arc::new(pieces.means().cast().into());
        out.pieces = Some(pieces);
        out
    }

    /// The generator that carries points of a source (N×d, in the units of the target): the identity, its network's output 0.
    pub fn at_source(frame: Affine, source: &Matrix, hidden: &[usize], seed: u64) -> Self {
        let latent = Latent::Points(Arc::new(frame.standardise(source)));
        Self::begin(frame, latent, hidden, seed, Network::silent)
    }

    /// Lets guidance w move each class c by w times the row c of `by` (C×d, in units of the frame): where w (m_c - m) is that, the mean of the class
    /// is the one at which the velocity vanishes.
    #[track_caller]
    pub(crate) fn guide(&mut self, by: &Matrix) {
        let (Some(classes), Some(pieces)) = (&self.classes, &self.pieces) else { return };
        let mut shifts = Matrix::zeros(pieces.codes(), by.cols());
        for (k, &class) in classes.of_codes.iter().enumerate() {
            shifts.row_mut(k).copy_from_slice(by.row(class));
            let factor = Matrix::from_vec(by.cols(), by.cols(), pieces.factors().row(k).to_vec());
            solve_lower(&factor, shifts.row_mut(k));
        }
        self.parameters[3] = Arc::new(shifts.cast().into());
    }

    /// With classes of its codes; guidance moves nothing yet.
    #[track_caller]
    pub fn with_classes(mut self, classes: Classes) -> Self {
        let codes = self.latent.codes();
        assert!(classes.fit(codes) && self.classes.is_none(), "Generator::with_classes: classes of {codes} codes");
        let own = Matrix::<T>::zeros(codes, self.dim());
        self.parameters.splice(2..2, [Arc::new(own.clone().into()), Arc::new(own.into())]);
        self.classes = Some(classes);
        self
    }

    /// Number of matrices before those of the network.
    fn own(&self) -> usize {
        match (&self.pieces, &self.classes) {
            (None, _) => 0,
            (Some(_), None) => 2,
            (Some(_), Some(_)) => 4,
        }
    }

    /// G(x) of each point (n×d, in the units of the target); for a generator without codes.
    #[track_caller]
    pub fn carry(&self, x: &Matrix) -> Matrix {
        assert!(self.pieces.is_none(), "Generator::carry: its input has codes");
        let noise = self.frame.standardise(x).cast();
        self.frame.restore(&self.map(&LatentBatch { noise, jitter: None, codes: None, guidance: 0.0 }))
    }

    /// Number of trainable numbers in R^d with `codes` codes (0 for a Gaussian latent) and these hidden layers; None
    /// beyond the whole numbers. Nothing is made.
    pub fn size_of(d: usize, codes: usize, hidden: &[usize]) -> Option<usize> {
        let inputs = if codes > 0 { d.checked_mul(2)? } else { d };
        Mlp::size(&[&[inputs], hidden, &[d]].concat())?.checked_add(codes.checked_mul(d)?.checked_mul(2)?)
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.frame.dim()
    }

    /// Widths of the hidden layers.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Names of the trainable matrices: `codes` and `shifts` (K×d) where there are codes, `guided_codes` and `guided_shifts` (K×d) where these
    /// have classes, then those of the network.
    pub fn parameter_names(&self) -> Vec<String> {
        let own = &["codes", "shifts", "guided_codes", "guided_shifts"][..self.own()];
        own.iter().map(|n| n.to_string()).chain(self.network.parameter_names()).collect()
    }

    /// Number of trainable numbers.
    pub fn size(&self) -> usize {
        self.parameters.iter().map(|p| p.as_slice().len()).sum()
    }

    /// u (n×d) on the tape for latent points `noise` (n×d) and their codes: y itself, or what the pieces place.
    #[track_caller]
    pub(crate) fn forward<'t>(
        &self,
        parameters: &[Var<'t, T>],
        noise: Var<'t, T>,
        codes: Option<&[Arc<[usize]>]>,
        guidance: f64,
    ) -> Var<'t, T> {
        match codes {
            None | Some([]) => noise + self.network.forward(parameters, noise, None),
            Some([first, others @ ..]) => {
                let summed = |k: usize| {
                    let first = parameters[k].gather_rows(first);
                    others.iter().fold(first, |sum, index| sum + parameters[k].gather_rows(index))
                };
                let own = |k: usize| {
                    let plain = summed(k);
                    let guided = || summed(k + 2) * T::from_f64(guidance);
                    if self.classes.is_some() { plain + guided() } else { plain }
                };
                let (code, shift) = (own(0), own(1));
                let reach = self.network.forward(&parameters[self.own()..], code.concat_columns(noise), None);
                let bounded = self.noise > 0.0;
                let reach = if bounded { (reach * T::from_f64(1.0 / BEND)).tanh() * T::from_f64(BEND) } else { reach };
                noise + shift + reach
            }
        }
    }

    /// y = G(latent), n×d in units of the frame: the bits of the forward pass of training, in blocks that stay in cache.
    #[track_caller]
    pub fn map(&self, latent: &LatentBatch<T>) -> Matrix {
        self.place(&self.inner(latent), latent)
    }

    /// y of u.
    pub(crate) fn place(&self, u: &Matrix<T>, latent: &LatentBatch<T>) -> Matrix {
        match (&self.pieces, &latent.codes) {
            (Some(pieces), Some(codes)) => pieces.place(u, latent.jitter.as_ref().map(|j| (j, self.noise)), codes),
            _ => u.cast(),
        }
    }

    /// The cotangent of u of that of y.
    pub(crate) fn cotangent(&self, g: &Matrix, latent: &LatentBatch<T>) -> Matrix<T> {
        match (&self.pieces, &latent.codes) {
            (Some(pieces), Some(codes)) => pieces.pull_back(g, codes).cast(),
            _ => g.cast(),
        }
    }

    /// u, n×d.
    #[track_caller]
    fn inner(&self, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let network = Inference::new(&self.network, &self.parameters[self.own()..]);
        let guided = |k: usize| {
            let (plain, by) = (&self.parameters[k], self.classes.as_ref().map(|_| &self.parameters[k + 2]));
            let w = T::from_f64(latent.guidance);
            let one = move |code: usize, j: usize| plain.row(code)[j] + by.map_or(T::ZERO, |by| by.row(code)[j] * w);
            move |codes: &[usize], j: usize| codes[1..].iter().fold(one(codes[0], j), |sum, &code| sum + one(code, j))
        };
        let mut out = Matrix::zeros(n, d);
        parallel::for_each(out.as_mut_slice().chunks_mut((BLOCK * d).max(1)).enumerate(), |(block, out)| {
            let rows = block * BLOCK..block * BLOCK + out.len() / d;
            let noise = &latent.noise.as_slice()[rows.start * d..rows.end * d];
            let Some((index, blocks)) = latent.codes_of(rows.clone()) else {
                let reach = network.forward(noise.to_vec(), rows.len());
                return out.iter_mut().zip(noise).zip(&reach).for_each(|((u, &z), &r)| *u = z + r);
            };
            let (code, shift) = (guided(0), guided(1));
            let mut inputs = Vec::with_capacity(2 * d * rows.len());
            for (k, z) in index.chunks_exact(blocks).zip(noise.chunks_exact(d)) {
                inputs.extend((0..d).map(|j| code(k, j)));
                inputs.extend_from_slice(z);
            }
            let mut reach = network.forward(inputs, rows.len());
            if self.noise > 0.0 {
                reach.iter_mut().for_each(|r| *r *= T::from_f64(1.0 / BEND));
                tanh_slice(&mut reach);
                reach.iter_mut().for_each(|r| *r *= T::from_f64(BEND));
            }
            let parts = out.chunks_exact_mut(d).zip(noise.chunks_exact(d)).zip(reach.chunks_exact(d));
            for (((u, z), r), k) in parts.zip(index.chunks_exact(blocks)) {
                (0..d).for_each(|c| u[c] = z[c] + shift(k, c) + r[c]);
            }
        });
        out
    }

    /// Σ_i (∂y_i/∂θ_p)ᵀ g_i for each matrix θ_p of the parameters, by the pull-back that training uses.   `cotangent` g: n×d.
    ///
    /// With g_i = -η V(y_i)/n this is the gradient of the stop-gradient loss, η times that of D_f (T9).
    pub fn gradient(&self, latent: &LatentBatch<T>, cotangent: &Matrix) -> Vec<Matrix<T>> {
        let mut gradient: Vec<_> = self.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        let mut batch = Batch::default();
        batch.forward(self, latent);
        batch.pull_back(&self.cotangent(cotangent, latent), &mut gradient);
        gradient
    }

    /// The mean over latent points of log q̂ = log m(y) + ½|u|² - ½|z|² - log|∂u/∂z|, m the law of the pieces: for a generator with codes and
    /// without noise. In units of the frame.
    ///
    /// With r(k|y) the chances of the codes under m, and a map that is one to one on each piece, E[log q̂ - log p] is KL(q(y, k)‖p(y) r(k|y)) ≥
    /// KL(q‖p), with equality where the network is 0. The last term is the mean over 4 to 16 rows, by differences over 2^-5 in z: an error of
    /// some 1e-3 of the network's third derivative.
    pub fn path_log_density(&self, latent: &LatentBatch<T>, law: &dyn Density) -> f64 {
        let u = self.inner(latent);
        let square = |x: &Matrix<T>| x.as_slice().iter().map(|v| v.to_f64() * v.to_f64()).sum::<f64>();
        let (n, d) = u.shape();
        let moved = 0.5 * (square(&u) - square(&latent.noise)) / n as f64;
        mean(&law.log_density(&self.place(&u, latent))) + moved
            - self.log_volume(latent, TURNED.min(n.div_ceil(d)).max(4))
    }

    /// The mean of log|∂u/∂z| over some of the latent points.
    fn log_volume(&self, latent: &LatentBatch<T>, rows: usize) -> f64 {
        let (n, d) = latent.noise.shape();
        let rows = rows.min(n);
        let chosen: Vec<usize> = (0..rows).map(|k| k * n / rows).collect();
        let (reach, blocks) = (0.03125, latent.codes.as_ref().map_or(0, |codes| codes.len() / n));
        // each row 2d times, moved up and down in each coordinate
        let noise = Matrix::from_fn(2 * d * rows, d, |r, j| {
            let (row, way) = (chosen[r / (2 * d)], r % (2 * d));
            let by = if way / 2 != j {
                0.0
            } else if way % 2 == 0 {
                reach
            } else {
                -reach
            };
            latent.noise[(row, j)] + T::from_f64(by)
        });
        let own = |codes: &Vec<usize>| -> Vec<usize> {
            chosen.iter().flat_map(|&i| codes[i * blocks..(i + 1) * blocks].repeat(2 * d)).collect()
        };
        let codes = latent.codes.as_ref().map(own);
        let u = self.inner(&LatentBatch { noise, jitter: None, codes, guidance: latent.guidance });
        let one = |k: usize| {
            let at = |way: usize, i: usize| u[(k * 2 * d + way, i)].to_f64();
            let jacobian = Matrix::from_fn(d, d, |j, i| (at(2 * j, i) - at(2 * j + 1, i)) / (2.0 * reach));
            // log|J| = ½ log|J Jᵀ|, -∞ where it is singular
            let square = matmul(&jacobian, &jacobian.transpose());
            Cholesky::factor(&square, "a Jacobian").map_or(f64::NEG_INFINITY, |c| 0.5 * c.log_det())
        };
        mean(&(0..rows).map(one).collect::<Vec<_>>())
    }

    /// n latent points under a key: z' and ξ, and codes that are independent, or `stratified` ([`Latent::stratified`]).
    pub fn draw(&self, n: usize, stratified: bool, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        self.draw_from(&self.latent, n, stratified, key)
    }

    fn draw_from(&self, latent: &Latent, n: usize, stratified: bool, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        let d = self.dim();
        let columns = if self.noise > 0.0 { 2 * d } else { d };
        let draw = |columns| {
            if stratified { latent.stratified(n, columns, key) } else { latent.sample(n, columns, key) }
        };
        let mut batch: LatentBatch<T> = draw(columns);
        if self.noise > 0.0 {
            let shrink = T::from_f64((1.0 - self.noise * self.noise).sqrt());
            let both = &batch.noise;
            let jitter = Matrix::from_fn(n, d, |i, j| both[(i, d + j)]);
            batch = LatentBatch {
                noise: Matrix::from_fn(n, d, |i, j| shrink * both[(i, j)]),
                jitter: Some(jitter),
                ..batch
            };
        }
        batch
    }

    /// The density of the law of y, in units of the frame, by the centres of `latent`; `controlled` by what they would be if the network
    /// were 0, or plain: the density of what their noise gives. None without noise.
    pub fn density(&self, latent: &LatentBatch<T>, controlled: bool) -> Option<CentreDensity> {
        let (Some(pieces), Some(codes), true) = (&self.pieces, &latent.codes, self.noise > 0.0) else { return None };
        let weights = if controlled {
            self.latent.probabilities()
        } else {
            let mut shares = vec![0.0; pieces.codes()];
            codes.iter().for_each(|&k| shares[k] += 1.0 / codes.len() as f64);
            shares
        };
        let (centres, base): (Matrix, Matrix) = (self.inner(latent).cast(), latent.noise.cast());
        Some(CentreDensity::new(pieces.mixture(weights), codes, &centres, controlled.then_some(&base), self.noise))
    }

    /// What its network leads to: `target`, or p s where it has an orientation.
    pub fn aim(&self, target: &Arc<dyn Density>) -> Result<Arc<dyn Density>> {
        match &self.orientation {
            None => Ok(Arc::clone(target)),
            Some(o) => Ok(Arc::new(Oriented::new(Arc::clone(target), Arc::clone(o))?)),
        }
    }

    /// Points of the network's law as samples: each moved by an element of the group, where there is one. The key is `seed` and `block`.
    pub(crate) fn scattered(&self, x: Matrix, seed: u64, block: u64) -> Matrix {
        Orientation::undone(self.orientation.as_deref(), x, seed, block)
    }

    /// The density ([`Generator::density`], in the units of the target) by the centres behind the n samples that [`Generator::sample`] gives
    /// under `seed` as its block 0. Plain, it is the density from which exactly these were drawn, before an element of the group moved them.
    pub fn density_of_samples(&self, n: usize, seed: u64, controlled: bool) -> Option<CentreDensity> {
        let latent = self.draw(n, false, (seed, Purpose::Sample, 0));
        self.density(&latent, controlled).map(|q| q.restored(self.frame.clone()))
    }

    /// n independent samples x (n×d) under `seed`: block number `block` of a stream, so that any number can be drawn in
    /// constant memory. Blocks are independent.
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.scattered(self.sample_oriented(n, seed, block), seed, block)
    }

    /// n independent samples of a class with a guidance w: where the velocity was trained to vanish, their mean is m_c + w (m_c - m) for the
    /// means m_c of the class and m of all. Panics for a generator without classes.
    #[track_caller]
    pub fn sample_class(&self, n: usize, (class, guidance): (usize, f64), seed: u64, block: u64) -> Matrix {
        let classes = self.classes.as_ref().expect("Generator::sample_class: it has classes");
        let latent = self.latent.only(|k| classes.of_codes[k] == class);
        let drawn = self.draw_from(&latent, n, false, (seed, Purpose::Sample, block));
        self.frame.restore(&self.map(&LatentBatch { guidance, ..drawn }))
    }

    /// As [`Generator::sample`], before an element of the group moves them: samples of the network's law.
    pub fn sample_oriented(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.frame.restore(&self.map(&self.draw(n, false, (seed, Purpose::Sample, block))))
    }
}
