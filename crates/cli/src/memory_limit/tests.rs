use burn::module::Module;
use burn::tensor::Device;

use super::*;
use crate::assemble;
use crate::config::Overlay;

fn config(pairs: &[&str]) -> Config {
    let overlay = pairs.iter().fold(Overlay::default(), |overlay, pair| overlay.parse(pair).unwrap());
    Config::resolve(None, &overlay).unwrap()
}

#[test]
fn weights_are_counted_but_for_biases() {
    for pairs in [
        &["model.layers=[30]"][..],
        &["model.layers=[30,20,10]", "model.kind=dsbn"],
        &["model.layers=[30,20]", "model.kind=darn"],
        &["model.layers=[30,20]", "model.kind=nade"],
        &["model.layers=[30]", "model.kind=nade", "model.hidden=7"],
        &["model.layers=[30,20]", "model.kind=dsbn", "model.hidden=300"],
        &["model.layers=[30,20]", "model.kind=bihm"],
        &["model.layers=[]", "model.kind=nade"],
        &["model.layers=[5,4]", "model.kind=vae", "model.bodies=[[40,30],[20]]"],
        &["model.layers=[5]", "model.kind=vae", "model.bodies=[[]]"],
    ] {
        let config = config(pairs);
        let data = helmholtz_datasets::load(&config.data.id, None).unwrap();
        let n = assemble::model(&config, &data, &Device::flex()).unwrap().num_params() as u64;
        let counted = config.spec.model.weights(data.train.width());
        assert!(counted <= n && counted * 10 >= n * 8, "{pairs:?}: {counted} of {n}");
    }
}

#[test]
fn what_asks_for_the_most_is_named_with_the_estimate_and_the_limit() {
    let limit = Limit { bytes: 4 << 30, of: "this machine has" };
    let refused = |config: &Config, rows| of_training(config, rows, 25).check(limit).unwrap_err().to_string();
    let large = refused(&config(&["strategy.samples=1000000"]), [10_000, 1000]);
    assert_eq!(
        large,
        "strategy.samples = 1000000 (--samples), train.batch = 100 (--batch) and model.layers = [200] (--layers): at \
         least 233 GiB of memory is needed, but this machine has 4.0 GiB; use smaller values"
    );
    let both = refused(&config(&["strategy.samples=1", "model.layers=[10000000]"]), [10_000, 1000]);
    assert!(both.contains("18.6 GiB of memory is needed (11.2 GiB of it for this), but this"), "{both}");
    let wide = config(&["model.layers=[10000000]", "strategy.kind=ws", "train.batch=10"]);
    assert!(refused(&wide, [10_000, 1000]).starts_with("model.layers = [10000000] (--layers): at least"));
    assert!(refused(&config(&[]), [100_000_000, 1000]).starts_with("data.id = "));
    of_training(&config(&[]), [10_000, 1000], 25).check(limit).unwrap();
    // A batch has no more rows than the training split.
    of_training(&config(&["train.batch=1000000000"]), [1000, 1000], 25).check(limit).unwrap();
}

#[test]
fn stages_and_moments_count() {
    let bytes = |pairs: &[&str]| of_training(&config(pairs), [1000, 10], 25).bytes();
    let plain = bytes(&["optimizer.kind=sgd"]);
    assert!(bytes(&["optimizer.kind=rmsprop"]) > plain);
    assert!(bytes(&["optimizer.kind=sgd", "optimizer.momentum=0.5"]) > plain);
    assert!(bytes(&["optimizer.kind=sgd", "optimizer.average=0.5"]) > plain);
    let staged = ["optimizer.kind=sgd", "train.epochs=1", "stage=[{epochs=1,samples=1000}]"];
    assert!(bytes(&staged) > 10 * plain);
}

#[test]
fn samples_pass_in_chunks_and_only_chunks_count() {
    let config = config(&[]);
    let bytes = |rows, samples, chunk| of_importance(&*config.spec.model, 25, rows, samples, chunk).bytes();
    assert_eq!(bytes(250, 1 << 30, 4000), bytes(250, 1000, 4000));
    assert_eq!(bytes(250, 10, 1 << 30), 250 * 10 * 4 * (25 + 600));
    assert!(bytes(250, 1 << 30, 1 << 30) > 1 << 40);
}

#[test]
fn no_product_overflows() {
    let largest = ["strategy.samples=1073741824", "train.batch=1073741824"];
    for model in [
        &["model.layers=[268435456]"][..],
        &["model.kind=nade", "model.layers=[268435456]", "model.hidden=262144"],
        &["model.kind=vae", "model.layers=[16384]", "model.bodies=[[16384,16384]]"],
    ] {
        let config = config(&[&largest[..], model].concat());
        assert_eq!(of_training(&config, [usize::MAX / 4, 1], usize::MAX).bytes(), u64::MAX);
    }
}
