//! What a trained model needs to know about its data.

use helmholtz_datasets::{DataSet, ImageShape};
use serde::{Deserialize, Serialize};

/// The data of a run without their values: enough to export the weights of the run and to sample from its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// `id@version`.
    #[serde(rename = "data")]
    pub protocol: String,
    /// The hash of the decoded values.
    #[serde(rename = "data_sha256")]
    pub sha256: String,
    /// The hash of the labels, if every split has labels.
    #[serde(rename = "data_labels_sha256", default, skip_serializing_if = "Option::is_none")]
    pub labels_sha256: Option<String>,
    /// Height and width of a row as a picture; the height is 1 for rows that are not pictures.
    #[serde(rename = "data_shape")]
    shape: [usize; 2],
}

impl DataFacts {
    /// The facts about a data set.
    pub fn of(data: &DataSet) -> Self {
        DataFacts {
            protocol: data.protocol(),
            sha256: data.data_sha256.clone(),
            labels_sha256: data.labels_sha256.clone(),
            shape: [data.shape.height, data.shape.width],
        }
    }

    /// The shape of a row.
    pub fn shape(&self) -> ImageShape {
        let [height, width] = self.shape;
        ImageShape { height, width }
    }

    /// Whether such rows are possible. Facts are read from files, which may be wrong.
    pub(crate) fn are_sound(&self) -> bool {
        let [height, width] = self.shape;
        height.checked_mul(width).is_some_and(|pixels| (1..=MOST_PIXELS).contains(&pixels))
    }
}

/// The most pixels of a row.
const MOST_PIXELS: usize = 1 << 30;
