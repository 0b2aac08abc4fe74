//! How many liars a rule allows for.

/// The most that are allowed for by default, however many votes there are: the bound on what is given up while nobody lies.
const MOST: usize = 6;

/// How many of `votes` may lie, by default: a third, at most [`MOST`].
pub(super) fn default_liars(votes: usize) -> usize {
    (votes.saturating_sub(1) / 3).min(MOST)
}

/// A number the user gave, or the default; never as many as would leave no majority.
pub(super) fn liars(given: Option<usize>, votes: usize) -> usize {
    given.unwrap_or_else(|| default_liars(votes)).min(votes.saturating_sub(1) / 2)
}

/// The methods of a rule that has a field `liars: Option<usize>`.
macro_rules! tolerance {
    ($rule:ty) => {
        impl $rule {
            /// Allows for so many liars among the votes; by default for a third of them, at most 6. Where that leaves no
            /// majority, for just less than half.
            #[must_use]
            pub const fn with_liars(mut self, liars: usize) -> Self {
                self.liars = Some(liars);
                self
            }
        }
    };
}
pub(super) use tolerance;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_at_most_six_and_never_half() {
        assert_eq!([0, 1, 4, 5, 20, 100].map(default_liars), [0, 0, 1, 1, 6, 6]);
        assert_eq!(liars(Some(10), 20), 9);
        assert_eq!(liars(Some(2), 1), 0);
        assert_eq!(liars(None, 20), 6);
    }
}
