//! The one random generator of the slide: ChaCha8, a stream of its own for each thing that is drawn.
//!
//! Everything that lies on the slide has a stream number, so that it looks the same from whichever side the stage
//! comes to it. Transcendental functions come from libm, so the numbers are the same on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws random numbers from one stream of one seed.
#[derive(Debug, Clone)]
pub struct SlideRng(ChaCha8Rng);

impl SlideRng {
    /// The stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// The generator itself, for what draws with distributions of its own.
    pub fn generator(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// A whole number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Normal, by Box and Muller (1958).
    pub fn normal(&mut self, mean: f32, sd: f32) -> f32 {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.uniform()));
        mean + sd * radius * libm::cosf(std::f32::consts::TAU * self.uniform())
    }

    /// Normal, held within three standard deviations.
    pub fn normal_within(&mut self, mean: f32, sd: f32) -> f32 {
        mean + self.normal(0.0, 1.0).clamp(-3.0, 3.0) * sd
    }

    /// Log-normal around the median `median` with the standard deviation `sigma` of the logarithm, within 2.5 of them.
    pub fn around(&mut self, median: f32, sigma: f32) -> f32 {
        median * libm::expf(sigma * self.normal(0.0, 1.0).clamp(-2.5, 2.5))
    }

    /// Poisson with mean `mean` (0 to some hundreds), by multiplication of uniforms (Knuth 1969), in parts of at most 16.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        let mut left = mean.max(0.0);
        let mut count = 0;
        while left > 0.0 {
            let part = left.min(16.0);
            left -= part;
            let limit = libm::exp(-part);
            let mut product = 1.0;
            loop {
                product *= (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0;
                if product <= limit {
                    break;
                }
                count += 1;
            }
        }
        count
    }

    /// Brings `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_numbers_have_their_mean_and_variance() {
        let mut rng = SlideRng::new(3, 0);
        for mean in [0.1, 2.0, 40.0] {
            let numbers: Vec<f64> = (0..4000).map(|_| f64::from(rng.poisson(mean))).collect();
            let m = numbers.iter().sum::<f64>() / 4000.0;
            let v = numbers.iter().map(|n| (n - m) * (n - m)).sum::<f64>() / 3999.0;
            assert!((m - mean).abs() < 0.15 * mean.sqrt(), "{m} for {mean}");
            assert!((v / mean - 1.0).abs() < 0.15, "{v} for {mean}");
        }
    }

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        assert_ne!(SlideRng::new(1, 1).bits(), SlideRng::new(1, 2).bits());
        assert_eq!(SlideRng::new(1, 2).bits(), SlideRng::new(1, 2).bits());
    }
}
