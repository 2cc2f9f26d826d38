//! Seeded chance: the one source of variety in this crate.
//!
//! It owns the number sequence and must not be replaced by a crate's generator lightly: the committed
//! samples are compared byte for byte, so the sequence must not hang on somebody's version. Everything
//! is integer arithmetic for the same reason; a float's last digit differs between platforms.

/// A SplitMix64 sequence: the same seed gives the same numbers, everywhere and for ever.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A sequence that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something of `length` items.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from `low` to `high`, both possible.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items, each as likely as any other.
    ///
    /// # Panics
    ///
    /// When there are no items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Appends `count` characters of `alphabet`.
    pub(crate) fn letters(&mut self, out: &mut String, alphabet: &[u8], count: usize) {
        for _ in 0..count {
            out.push(char::from(*self.pick(alphabet)));
        }
    }
}

/// A choice among indexes that are not equally likely.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Running sums of the weights.
    sums: Vec<u64>,
}

impl Weighted {
    /// A choice with one weight for each index.
    pub fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let sums = weights.into_iter().scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// Zipf's law over `count` indexes: index k weighs 1/(k + `flatness`).
    #[must_use]
    pub fn zipf(count: usize, flatness: u64) -> Self {
        Self::new((0..count as u64).map(|rank| 1_000_000_000 / (rank + flatness.max(1))))
    }

    /// An index by its weight.
    pub fn pick(&self, random: &mut Random) -> usize {
        let ticket = random.below(self.sums.last().copied().unwrap_or(0));
        self.sums.partition_point(|&sum| sum <= ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn weights_are_kept() {
        let weighted = Weighted::new([1, 0, 3]);
        let mut random = Random::new(7);
        let mut seen = [0; 3];
        for _ in 0..4_000 {
            seen[weighted.pick(&mut random)] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((900..1_100).contains(&seen[0]), "{seen:?}");
    }

    #[test]
    fn zipf_prefers_the_first_and_reaches_the_last() {
        let weighted = Weighted::zipf(50, 1);
        let mut random = Random::new(7);
        let mut seen = [0; 50];
        for _ in 0..20_000 {
            seen[weighted.pick(&mut random)] += 1;
        }
        assert!(seen[0] > 8 * seen[9] && seen.iter().all(|&count| count > 0), "{seen:?}");
    }
}
