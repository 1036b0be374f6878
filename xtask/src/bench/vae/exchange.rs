//! What the peers are given, and our results from it.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Gradients, Key, LatentVariableModel, PathParts, Reparameterized, Trainable};
use helmholtz_ops::log_weights::{log_mean_exp, normalise};
use helmholtz_ops::noise;
use helmholtz_strategies::{Coupled, Pathwise, Weighting};

use crate::bench::agreement::{Exchange, Part, gradient, values};
use crate::bench::vae::subject::{LATENTS, Layer, Subject};

/// The inputs are weights, rows and noise. The results are for the first batch of rows and this noise: the K-sample
/// bounds and the gradients of a step of `iwae`, the gradients of the recognition net in a step of `coupled`, and those
/// of the generative net from two chains whose points are the noise and its negative.
pub(crate) fn exchange(subject: &Subject, coupled: &Coupled, batch: usize) -> anyhow::Result<Exchange> {
    let (model, k) = (&subject.model, coupled.samples);
    let draws = Draws::new(Key::new(0).child("bench agreement"), batch, k);
    let noise = noise::normal(&draws, LATENTS, model.dtype(), &model.device());
    let mut inputs = Vec::new();
    for layer in subject.encoder().iter().chain(&subject.decoder()) {
        inputs.push(values(layer.weight.val())?);
        inputs.push(values(layer.bias.val())?);
    }
    inputs.push(values(subject.x.clone())?);
    inputs.push(values(noise.clone())?);

    let x = subject.batch(batch);
    let propose = || model.propose_at(x.clone(), noise.clone());
    let bounds = values(log_mean_exp(propose().log_weights()))?;
    let mut whole = Gradients::new();
    let update = |weighting, parts, into: &mut Gradients| {
        Pathwise::new(k, weighting).update(model, x.clone(), noise.clone(), propose(), parts, into)
    };
    update(Weighting::Iwae, PathParts::Both, &mut whole);
    let mut of_phi = Gradients::new();
    update(Weighting::Dreg, PathParts::Recognition, &mut of_phi);
    let of_chains = of_chains(subject, coupled, x, noise);

    let mut ours = vec![("bounds".to_string(), bounds)];
    ours.extend(parts("iwae", &subject.encoder(), &whole)?);
    ours.extend(parts("iwae", &subject.decoder(), &whole)?);
    ours.extend(parts("coupled", &subject.encoder(), &of_phi)?);
    ours.extend(parts("coupled", &subject.decoder(), &of_chains)?);
    Exchange::new(inputs, ours)
}

fn of_chains(subject: &Subject, coupled: &Coupled, x: Tensor<2>, noise: Tensor<2>) -> Gradients {
    let ([batch, _], [n, _]) = (x.dims(), noise.dims());
    let mut gradients = Gradients::new();
    for (noise, sign) in [(noise.clone(), 1.0), (noise.neg(), -1.0)] {
        let proposals = subject.model.propose_at(x.clone(), noise);
        let share = sign / (batch * coupled.lag) as f64;
        let weights = normalise(proposals.log_weights()).reshape([n]) * share;
        let traces = &proposals.p.traces;
        subject.model.joint_gradient(x.clone(), &proposals.latents, traces, weights, &mut gradients);
    }
    gradients
}

fn parts(strategy: &str, layers: &[Layer<'_>], gradients: &Gradients) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for Layer { name, weight, bias } in layers {
        parts.push((format!("{strategy}: gradient in the weights of {name}"), gradient(gradients, weight)?));
        parts.push((format!("{strategy}: gradient in the biases of {name}"), gradient(gradients, bias)?));
    }
    Ok(parts)
}
