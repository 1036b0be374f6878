//! The path from the noise to the latents, and the backward pass along it.
//!
//! The path is `hₗ = μₗ(hₗ₋₁) + σₗ(hₗ₋₁) ξₗ`. For a loss `Σᵢ sᵢ (log p - log q)`, let `Cₗ` be its derivative in `hₗ`
//! through everything except `log q(hₗ | hₗ₋₁)`: through `log p(hₗ₋₁ | hₗ)`, through `log p(hₗ | hₗ₊₁)`, and through
//! the moments of `hₗ₊₁`. Along the path `log q(hₗ | hₗ₋₁) = -ξₗ²/2 - log σₗ`, so its whole derivative is zero in μₗ
//! and `-1/σₗ` in σₗ. The derivatives in the moments are therefore
//!
//! ```text
//! μₗ: Cₗ                 σₗ: Cₗ ξₗ + s/σₗ
//! ```
//!
//! and continue through the moments to `Cₗ₋₁`. The parameters receive the same derivatives, unless the density of q at
//! fixed h has its own weight γ', with the sign of the loss. In the whole derivative that weight is -s, so
//! `t = s + γ'` times the score of the density is added: `t ξₗ/σₗ` in μₗ and `t (ξₗ² - 1)/σₗ` in σₗ.

use burn::tensor::Tensor;
use helmholtz_core::{Gradients, PathParts, PathWeights, Proposals, Reparameterized, Traced};

use crate::gaussian::GaussianMoments;
use crate::vae::Vae;

/// How the backward pass treats the parts of `log p - log q`.
struct Walk<'a> {
    /// s: the weight of each row's `log p`, with the sign of the loss.
    joint: Tensor<1>,
    /// ρ: the weight of the path as a share of s; 1 if not set.
    path: Option<Tensor<1>>,
    /// γ': the weight of `log q` at fixed h, with the sign of the loss; minus the weight of the path if not set.
    density: Option<Tensor<1>>,
    analytic_prior: bool,
    /// The nets whose gradients are added, if `into` is given.
    parts: PathParts,
    /// Where gradients of the parameters are added, if they are wanted.
    into: Option<&'a mut Gradients>,
}

impl Vae {
    /// Goes from the data up through the generative net, and from the highest latents down through the recognition
    /// net. If no gradients of parameters are wanted, returns the derivative in the noise of each layer.
    fn walk_back(
        &self,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<Vec<Tensor<2>>>,
        walk: Walk<'_>,
    ) -> Vec<Tensor<2>> {
        let Walk { joint, path, density, analytic_prior, parts, mut into } = walk;
        let Proposals { latents: h, p: Traced { traces: mut lowest, .. }, q, .. } = proposals;
        let depth = h.len();
        let upper = lowest.split_off(self.observed.n_traces());
        let generative: Vec<GaussianMoments> = Vae::moments_of(&self.generative, &upper).collect();
        drop(upper);

        // The derivatives in each layer of latents through log p, with weight s.
        let mut through = Vec::with_capacity(depth);
        let mut of_p = into.as_deref_mut().filter(|_| parts == PathParts::Both);
        through.push(self.observed.backward(h[0].clone(), lowest, joint.clone(), of_p.as_deref_mut(), true));
        for (l, moments) in generative.into_iter().enumerate() {
            let [in_mean, in_std] = moments.score(h[l].clone(), joint.clone());
            add(&mut through[l], in_mean.clone().neg());
            let above = h[l + 1].clone();
            let layer = &self.generative[l];
            through.push(layer.backward(above, moments, in_mean, in_std, of_p.as_deref_mut(), true));
        }
        if !analytic_prior {
            add(&mut through[depth - 1], (h[depth - 1].clone() * joint.clone().unsqueeze_dim(1)).neg());
        }

        // Along the path, with weight s ρ.
        let along = match &path {
            Some(path) => joint * path.clone(),
            None => joint,
        };
        let noises = self.split(noise);
        let mut in_noise = Vec::new();
        let kept: Vec<GaussianMoments> = Vae::moments_of(&self.recognition, &q.traces).collect();
        drop(q);
        let mut from_above: Option<Tensor<2>> = None;
        for (l, moments) in kept.into_iter().enumerate().rev() {
            let e = noises[l].clone();
            let mut c = through.pop().flatten().expect("one for each layer");
            if let Some(path) = &path {
                c = c * path.clone().unsqueeze_dim(1);
            }
            if let Some(above) = from_above.take() {
                c = c + above;
            }
            let [n, _] = c.dims();
            let [mean, std, _] = moments.for_rows(n);
            let s = along.clone().unsqueeze_dim::<2>(1);
            let mut in_mean = c.clone();
            let mut in_std = c.clone() * e.clone() + s.clone() / std.clone();
            if analytic_prior && l + 1 == depth {
                in_mean = in_mean - mean * s.clone();
                in_std = in_std - std.clone() * s.clone();
            }
            let below = if l == 0 { self.centred(x.clone()) } else { h[l - 1].clone() };
            let layer = &self.recognition[l];
            let Some(into) = into.as_deref_mut() else {
                in_noise.push(c * std + e * s);
                if l > 0 {
                    from_above = layer.backward(below, moments, in_mean, in_std, None, true);
                }
                continue;
            };
            match &density {
                None => from_above = layer.backward(below, moments, in_mean, in_std, Some(into), l > 0),
                Some(density) => {
                    if l > 0 {
                        let (in_mean, in_std) = (in_mean.clone(), in_std.clone());
                        from_above =
                            layer.backward(below.clone(), moments.clone(), in_mean, in_std, None, true);
                    }
                    let t = s + density.clone().unsqueeze_dim(1);
                    let in_mean = in_mean + e.clone() / std.clone() * t.clone();
                    let in_std = in_std + (e.square() - 1.0) / std * t;
                    layer.backward(below, moments, in_mean, in_std, Some(into), false);
                }
            }
        }
        in_noise.reverse();
        in_noise
    }
}

fn add(sum: &mut Option<Tensor<2>>, term: Tensor<2>) {
    let before = sum.take().expect("the derivative was asked for");
    *sum = Some(before + term);
}

impl Reparameterized for Vae {
    fn noise_units(&self) -> usize {
        self.latent_sizes().iter().sum()
    }

    fn propose_at(&self, x: Tensor<2>, noise: Tensor<2>) -> Proposals<Vec<Tensor<2>>> {
        self.proposals(x, noise)
    }

    fn log_weights_at(&self, x: Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
        let ([batch, _], [n, _]) = (x.dims(), noise.dims());
        let (h, _, log_q) = self.infer(x.clone(), noise);
        (self.log_joint_value(x, &h) - log_q).reshape([batch, n / batch])
    }

    fn pathwise_gradient(
        &self,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<Vec<Tensor<2>>>,
        weights: &PathWeights,
        into: &mut Gradients,
    ) {
        let walk = Walk {
            joint: weights.joint.clone().neg(),
            path: weights.path.clone(),
            density: weights.posterior.clone().map(|gamma| gamma.neg()),
            analytic_prior: weights.analytic_prior,
            parts: weights.parts,
            into: Some(into),
        };
        self.walk_back(x, noise, proposals, walk);
    }

    fn log_weight_gradient(&self, x: Tensor<2>, noise: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let [n, _] = noise.dims();
        let proposals = self.propose_at(x.clone(), noise.clone());
        let log_weights = proposals.log_weights().reshape([n]);
        let walk = Walk {
            joint: log_weights.full_like(1.0),
            path: None,
            density: None,
            analytic_prior: false,
            parts: PathParts::Both,
            into: None,
        };
        let in_noise = self.walk_back(x, noise, proposals, walk);
        (log_weights, Tensor::cat(in_noise, 1))
    }
}
