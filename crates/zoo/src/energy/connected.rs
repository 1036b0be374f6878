//! Machines whose connections are chosen by training.

use burn::module::Param;
use burn::tensor::Tensor;
use helmholtz_core::{Gradients, Key, Trainable};
use helmholtz_energy::Rbm;
use helmholtz_strategies::Connectivity;

use crate::can::Connected;

impl Connected for Rbm {
    fn disconnected(&self, share: f64, key: Key) -> (Vec<Tensor<1>>, Connectivity) {
        let sizes = [self.observed(), self.n_hidden()];
        let connectivity = Connectivity::new(sizes, share, key, (self.dtype(), &self.device()));
        let variances = self.log_variance.as_ref().map(Param::val);
        let biases = [&self.visible, &self.hidden].map(|bias| bias.val().zeros_like());
        (parameters(&connectivity, biases.into_iter().chain(variances)), connectivity)
    }

    fn reconnected(
        &self,
        connectivity: &Connectivity,
        gradients: &Gradients,
        rate: f64,
    ) -> (Vec<Tensor<1>>, Connectivity) {
        let connectivity = match gradients.get(self.weight.id) {
            Some(gradient) => connectivity.step(gradient, rate),
            None => connectivity.clone(),
        };
        let down = |bias: &Param<Tensor<1>>| match gradients.get::<1>(bias.id) {
            Some(gradient) => bias.val() - gradient * rate,
            None => bias.val(),
        };
        let others = [Some(&self.visible), Some(&self.hidden), self.log_variance.as_ref()];
        (parameters(&connectivity, others.into_iter().flatten().map(down)), connectivity)
    }
}

/// In the order of the fields.
fn parameters(connectivity: &Connectivity, others: impl Iterator<Item = Tensor<1>>) -> Vec<Tensor<1>> {
    std::iter::once(connectivity.connections().flatten(0, 1)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use helmholtz_energy::RbmConfig;
    use helmholtz_ops::into_f64;

    use super::*;
    use crate::model::BoxedModel;

    fn machine(model: &BoxedModel) -> &Rbm {
        model.downcast_ref().unwrap()
    }

    #[test]
    fn an_update_is_plain_descent_where_there_are_edges_and_the_rest_stays_off() {
        let device = Device::flex();
        let rbm = RbmConfig::new(6, 5).init(None, Key::new(1), &device).unwrap();
        let (values, connectivity) = rbm.disconnected(0.5, Key::new(2));
        let start = BoxedModel::other(rbm).with_values(values);
        let own = machine(&start);
        assert!(
            into_f64(own.visible.val()).iter().chain(&into_f64(own.hidden.val())).all(|bias| *bias == 0.0)
        );
        let edges = into_f64(connectivity.edges());
        let before = into_f64(own.weight.val());
        assert!(edges.iter().zip(&before).all(|(edge, w)| (*edge == 0.0) == (*w == 0.0)), "{before:?}");
        let mut gradients = Gradients::new();
        let of_weight = own.weight.val() * -0.3 + 0.1;
        gradients.add(&own.weight, of_weight.clone());
        gradients.add(&own.visible, Tensor::full([6], 2.0, &device));
        // So low a rate that no edge comes or goes.
        let rate = 1e-6;
        let (values, moved) = own.reconnected(&connectivity, &gradients, rate);
        let after = start.clone().with_values(values);
        assert_eq!(into_f64(moved.edges()), edges);
        let after = machine(&after);
        let found = into_f64(after.weight.val());
        for (i, ((found, before), gradient)) in found.iter().zip(&before).zip(into_f64(of_weight)).enumerate()
        {
            let expected = before - edges[i] * rate * gradient;
            assert!((found - expected).abs() < 1e-7, "{i}: {found} and {expected}");
        }
        assert!(into_f64(after.visible.val()).iter().all(|bias| (bias + 2e-6).abs() < 1e-12));
        assert!(into_f64(after.hidden.val()).iter().all(|bias| *bias == 0.0));
    }
}
