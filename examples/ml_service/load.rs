//! Requests, feedback, and how far off the predictions were.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::service::{Feedback, Prediction, Question, Status};
use crate::world::{CHANCE, City, Delivery};

/// Errors are averaged over so many requests to each service.
const BLOCK: u32 = 100;
/// Of so many requests one hears what came true.
const HEARD_OF: u32 = 5;
/// Neighbours whose minutes retrieval averages.
const NEIGHBOURS: usize = 5;

/// What to ask whom.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Services that know each other, as host:port. The last one is the newcomer, whose errors are printed.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) services: Vec<String>,
    /// One that knows nobody: it gets the requests of the newcomer.
    #[arg(long)]
    pub(crate) alone: Option<String>,
    /// Requests to each of the others before the newcomer gets its first one.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) before: u32,
    /// Requests to each after that, in hundreds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) hundreds: u16,
    /// Seed of the deliveries.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Errors of one hundred requests of the newcomer's, as root mean squares.
#[derive(Debug, Default)]
struct Errors {
    together: Mean,
    alone: Mean,
    retrieval: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    squares: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, error: f64) {
        self.squares += error * error;
        self.count += 1.0;
    }

    fn root(self) -> String {
        if self.count == 0.0 { "-".into() } else { format!("{:.2}", (self.squares / self.count).sqrt()) }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut cities: Vec<City> = (0..).take(args.services.len()).map(|at| City::new(at, args.seed)).collect();
    let (Some((newcomer, others)), Some((its_city, cities))) =
        (args.services.split_last(), cities.split_last_mut())
    else {
        return Err("there is no service to ask".into());
    };
    // What came true for the others by then, and nothing after that.
    let mut corpus: Vec<Delivery> = Vec::new();
    for request in 0..args.before {
        corpus.extend(ask_all(others, cities, request)?);
    }

    println!(
        "Minutes that predictions of a newcomer were off (root mean square); {CHANCE} cannot be foreseen."
    );
    println!("Of every fifth request it hears what came true.\n");
    println!("{:>9} {:>14} {:>10} {:>18}", "requests", "with peers", "alone", "static retrieval");
    let mut errors = Errors::default();
    for request in 0..u32::from(args.hundreds) * BLOCK {
        ask_all(others, cities, request)?;
        let delivery = its_city.deliver();
        let is_heard_of = is_heard_of(request);
        errors.together.add(ask(newcomer, &delivery, is_heard_of)?);
        if let Some(alone) = &args.alone {
            errors.alone.add(ask(alone, &delivery, is_heard_of)?);
        }
        if let Some(minutes) = retrieve(&corpus, &delivery.features) {
            errors.retrieval.add(minutes - delivery.minutes);
        }
        if (request + 1).is_multiple_of(BLOCK) {
            let Errors { together, alone, retrieval } = std::mem::take(&mut errors);
            let [together, alone, retrieval] = [together, alone, retrieval].map(Mean::root);
            println!("{:>9} {together:>14} {alone:>10} {retrieval:>18}", request + 1);
        }
    }
    println!();
    for service in args.services.iter().chain(&args.alone) {
        let Status { records, learned, peers } = get(service, "status")?;
        println!("{service}: told of {records} deliveries, learned from {learned} and from {peers} peers");
    }
    Ok(())
}

fn is_heard_of(request: u32) -> bool {
    request.is_multiple_of(HEARD_OF)
}

/// Asks each service about a delivery of its city. Returns those of which it was told what came true.
fn ask_all(services: &[String], cities: &mut [City], request: u32) -> Result<Vec<Delivery>, Failure> {
    let mut told = Vec::new();
    for (service, city) in services.iter().zip(cities) {
        let delivery = city.deliver();
        ask(service, &delivery, is_heard_of(request))?;
        if is_heard_of(request) {
            told.push(delivery);
        }
    }
    Ok(told)
}

/// Has a service predict a delivery, and may tell it what came true. Returns how far off it was.
fn ask(service: &str, delivery: &Delivery, tell_it: bool) -> Result<f64, Failure> {
    let features = delivery.features.to_vec();
    let url = |path: &str| format!("http://{service}/{path}");
    let body = serde_json::to_vec(&Question { features: features.clone() })?;
    let mut answer = ureq::post(url("predict")).content_type("application/json").send(&body)?;
    let Prediction { minutes } = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    if tell_it {
        tell(&url("feedback"), &Feedback { features, minutes: delivery.minutes })?;
    }
    Ok(minutes - delivery.minutes)
}

fn tell(url: &str, body: &impl Serialize) -> Result<(), Failure> {
    ureq::post(url).content_type("application/json").send(&serde_json::to_vec(body)?)?;
    Ok(())
}

fn get<T: DeserializeOwned>(service: &str, path: &str) -> Result<T, Failure> {
    let mut answer = ureq::get(format!("http://{service}/{path}")).call()?;
    Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
}

/// The mean of the most similar deliveries of the corpus, each feature measured by its spread.
fn retrieve(corpus: &[Delivery], features: &[f64; 5]) -> Option<f64> {
    let distance = |delivery: &Delivery| -> f64 {
        let pairs = delivery.features.iter().zip(features).zip(crate::world::SCALE);
        pairs.map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum()
    };
    let mut near: Vec<(f64, f64)> = corpus.iter().map(|one| (distance(one), one.minutes)).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.truncate(NEIGHBOURS);
    (!near.is_empty()).then(|| near.iter().map(|(_, minutes)| minutes).sum::<f64>() / near.len() as f64)
}
