//! How close decoded vectors come, against the bound for unbiased codes. The README has the table.
//!
//! `cargo test --release -p qis-codec --test quality -- --ignored --nocapture` measures with more vectors and prints.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use qis_codec::{decode, encode};

/// A generator by addition and mixing (Steele, Lea and Flood 2014) and what is drawn from it.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn gaussian(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (core::f64::consts::TAU * self.uniform()).cos()
    }

    fn laplace(&mut self) -> f64 {
        if self.next() & 1 == 0 { self.uniform().ln() } else { -self.uniform().ln() }
    }

    /// Student's t with three degrees of freedom.
    fn student(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| self.gaussian().powi(2)).sum();
        self.gaussian() / (squares / 3.0).sqrt()
    }

    fn sparse(&mut self) -> f64 {
        if self.uniform() < 0.2 { self.gaussian() } else { 0.0 }
    }
}

fn round_trip(values: &[f32], budget: usize, seed: u64) -> Vec<f64> {
    let encoded = encode(values, budget, seed).unwrap();
    assert!(encoded.bytes().len() <= budget);
    decode(encoded.mode(), values.len(), encoded.bytes(), seed).unwrap().to_vec()
}

fn relative_error(values: &[f32], decoded: &[f64]) -> f64 {
    let error: f64 = values.iter().zip(decoded).map(|(&x, y)| (y - f64::from(x)).powi(2)).sum();
    error / values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
}

/// The mean over vectors of the squared error over the squared norm.
fn mean_error(draw: fn(&mut Source) -> f64, dims: usize, budget: usize, vectors: u64) -> f64 {
    let mut source = Source(dims as u64);
    let errors = (0..vectors).map(|seed| {
        let values: Vec<f32> = (0..dims).map(|_| draw(&mut source) as f32).collect();
        relative_error(&values, &round_trip(&values, budget, source.next() ^ seed))
    });
    errors.sum::<f64>() / vectors as f64
}

/// Decibels above `1 / (4^R - 1)`, the least error of an unbiased code of a Gaussian source at `R` bits a coordinate.
fn decibels(dims: usize, budget: usize, vectors: u64) -> (f64, f64) {
    let error = mean_error(Source::gaussian, dims, budget, vectors);
    let rate = 8.0 * budget as f64 / dims as f64;
    (error, 10.0 * (error * (4.0_f64.powf(rate) - 1.0)).log10())
}

/// `n` times the relative error of the mean of `n` packets of one vector, at each of the given `n`.
fn errors_of_means(dims: usize, budget: usize, counts: &[u32]) -> Vec<f64> {
    let mut source = Source(77);
    let values: Vec<f32> = (0..dims).map(|_| source.gaussian() as f32).collect();
    let (mut sum, mut out) = (vec![0.0; dims], Vec::new());
    for n in 1..=*counts.last().unwrap() {
        let decoded = round_trip(&values, budget, source.next());
        sum.iter_mut().zip(decoded).for_each(|(total, value)| *total += value);
        if counts.contains(&n) {
            let mean: Vec<f64> = sum.iter().map(|total| total / f64::from(n)).collect();
            out.push(f64::from(n) * relative_error(&values, &mean));
        }
    }
    out
}

#[test]
fn gaussian_vectors_come_close_to_the_bound() {
    for (dims, budget, limit) in [
        (512, 256, 1.10),
        (512, 320, 1.10),
        (768, 320, 1.10),
        (1024, 320, 1.10),
        (2048, 320, 1.10),
        (128, 128, 2.4),
    ] {
        let (_, above) = decibels(dims, budget, 12);
        assert!(above < limit + 0.05, "{dims}/{budget}: {above:.3} dB");
    }
}

#[test]
fn heavy_tails_and_zeros_gain_from_their_own_models() {
    assert!(mean_error(Source::laplace, 512, 320, 12) < 1.3e-3);
    assert!(mean_error(Source::student, 512, 320, 12) < 1.3e-3);
    assert!(mean_error(Source::sparse, 512, 320, 12) < 1e-10);
}

#[test]
fn means_of_equal_vectors_converge() {
    let errors = errors_of_means(512, 320, &[1, 10, 100]);
    assert!(errors.iter().all(|error| (error / errors[0] - 1.0).abs() < 0.2), "{errors:?}");
}

#[test]
#[ignore = "prints a table, in release builds within seconds"]
fn print_table() {
    for (dims, budget) in [
        (128, 128),
        (512, 80),
        (512, 128),
        (512, 256),
        (512, 320),
        (512, 400),
        (768, 320),
        (1024, 320),
        (2048, 320),
        (2048, 400),
        (4096, 400),
        (4096, 128),
    ] {
        let (error, above) = decibels(dims, budget, 100);
        println!("gaussian {dims}/{budget}: {error:.3e}, {above:.3} dB");
    }
    for (name, draw) in [
        ("laplace", Source::laplace as fn(&mut Source) -> f64),
        ("student", Source::student),
        ("sparse", Source::sparse),
    ] {
        println!("{name} 512/320: {:.3e}", mean_error(draw, 512, 320, 100));
    }
}

#[test]
#[ignore = "prints a table, in release builds within a minute"]
fn print_means() {
    for (dims, budget) in [(512, 128), (512, 320), (2048, 320)] {
        let counts = [1, 10, 100, 1000, 10_000];
        println!("{dims}/{budget}, n = {counts:?}: {:.6?}", errors_of_means(dims, budget, &counts));
    }
}
