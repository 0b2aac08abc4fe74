//! What nobody asked for is not taken.

use qis::Verdict;

use super::{Violation, holds};

const NAME: &str = "answers are to what was asked";

/// A node judged an acknowledgement or an answer that somebody made up.
pub(in crate::simulate) fn check(site: usize, verdict: Verdict) -> Result<(), Violation> {
    holds(NAME, matches!(verdict, Verdict::Refused(_)), || {
        format!("site {site} took an answer to nothing: {verdict:?}")
    })
}
