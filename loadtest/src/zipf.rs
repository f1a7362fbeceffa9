//! Zipf's law: how often each client is drawn.

/// Draws ranks from 1 to `ranks`, rank r with a probability proportional to 1 / r^s. With s = 0 all are equally likely.
///
/// Uses rejection from a curve that bounds the law from above (W. Hörmann, G. Derflinger, "Rejection-inversion to generate
/// variates from monotone discrete distributions", 1996): it needs no table, so any number of ranks is possible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    ranks: f64,
    s: f64,
    area: f64,
}

impl Zipf {
    /// For so many ranks (0 counts as 1), with an exponent of 0 or more.
    pub fn new(ranks: u64, s: f64) -> Zipf {
        let (ranks, s) = (ranks.max(1) as f64, s.max(0.0));
        let area = if is_one(s) { 1.0 + ranks.ln() } else { (ranks.powf(1.0 - s) - s) / (1.0 - s) };
        Zipf { ranks, s, area }
    }

    /// Draws a rank.
    pub fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        if self.s == 0.0 {
            return random.u64(1..=self.ranks as u64);
        }
        loop {
            let under = self.inverse(random.f64());
            let rank = (under + 1.0).floor().min(self.ranks);
            let mut accepted = rank.powf(-self.s);
            if rank > 1.0 {
                accepted *= under.powf(self.s);
            }
            if random.f64() < accepted {
                return rank as u64;
            }
        }
    }

    /// The point up to which the bounding curve has this part of its area.
    fn inverse(&self, part: f64) -> f64 {
        let area = part * self.area;
        if area <= 1.0 {
            area
        } else if is_one(self.s) {
            (area - 1.0).exp()
        } else {
            (area * (1.0 - self.s) + self.s).powf(1.0 / (1.0 - self.s))
        }
    }
}

fn is_one(s: f64) -> bool {
    (s - 1.0).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(s: f64, ranks: u64, draws: usize) -> Vec<usize> {
        let (zipf, mut random) = (Zipf::new(ranks, s), fastrand::Rng::with_seed(11));
        let mut counts = vec![0; ranks as usize];
        for _ in 0..draws {
            counts[zipf.draw(&mut random) as usize - 1] += 1;
        }
        counts
    }

    #[test]
    fn the_same_seed_draws_the_same_ranks() {
        assert_eq!(counts(0.9, 50, 1_000), counts(0.9, 50, 1_000));
    }

    #[test]
    fn ranks_are_drawn_as_often_as_the_law_requires() {
        const DRAWS: usize = 200_000;
        for s in [0.0, 0.5, 1.0, 1.2] {
            let found = counts(s, 20, DRAWS);
            let weight = |rank: usize| (rank as f64).powf(-s);
            let sum: f64 = (1..=20).map(weight).sum();
            for (rank, found) in (1..).zip(found) {
                let expected = DRAWS as f64 * weight(rank) / sum;
                // Six standard deviations: the seed is fixed, so the test passes always or never.
                assert!((found as f64 - expected).abs() < 6.0 * expected.sqrt(), "s {s}, rank {rank}: {found} of {expected}");
            }
        }
    }

    #[test]
    fn one_rank_is_all_there_is() {
        assert_eq!(counts(1.0, 1, 100), [100]);
        assert_eq!(Zipf::new(0, 2.0).draw(&mut fastrand::Rng::with_seed(1)), 1);
    }
}
