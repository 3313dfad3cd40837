//! Randomness that can be repeated: every random choice comes from one seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::environment;

/// A source of random numbers that names its seed if the test fails.
///
/// The seed is `FORESHORE_SEED` if that is set, else new for every run.
#[derive(Debug)]
pub struct Seed {
    number: u64,
    random: ChaCha8Rng,
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

impl Seed {
    /// Takes the seed from the environment, or a fresh one.
    ///
    /// # Panics
    ///
    /// If `FORESHORE_SEED` is not a number.
    pub fn new() -> Self {
        let number = match environment::value("FORESHORE_SEED") {
            Some(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("FORESHORE_SEED is not a number: `{text}`")),
            None => rand::random(),
        };
        Self::of(number)
    }

    /// Starts from the given number.
    pub fn of(number: u64) -> Self {
        Self {
            number,
            random: ChaCha8Rng::seed_from_u64(number),
        }
    }

    /// The number to repeat this run with.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The generator, for everything `rand` can make.
    pub fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// A source of its own for one part of a test, so that parts do not
    /// disturb each other's numbers.
    #[must_use]
    pub fn part(&mut self) -> Self {
        Self::of(self.random.next_u64())
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            environment::say(&format!("repeat with FORESHORE_SEED={}", self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_numbers() {
        let numbers =
            |mut seed: Seed| -> Vec<u64> { (0..8).map(|_| seed.random().next_u64()).collect() };
        assert_eq!(numbers(Seed::of(7)), numbers(Seed::of(7)));
        assert_ne!(numbers(Seed::of(7)), numbers(Seed::of(8)));
    }

    #[test]
    fn a_part_does_not_disturb_the_whole() {
        let (mut used, mut unused) = (Seed::of(7), Seed::of(7));
        used.part().random().next_u64();
        drop(unused.part());
        assert_eq!(used.random().next_u64(), unused.random().next_u64());
    }
}
