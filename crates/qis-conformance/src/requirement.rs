/// A sentence of a trait's list "To be correct", and whether a suite checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The sentence, word for word, as the trait's page shows it.
    pub sentence: &'static str,
    /// Why no check can tell whether it holds; none when it is checked.
    pub unchecked: Option<&'static str>,
}

impl Requirement {
    /// A sentence that some check is for.
    pub(crate) const fn checked(sentence: &'static str) -> Self {
        Self { sentence, unchecked: None }
    }

    /// A sentence that no check is for.
    pub(crate) const fn unchecked(sentence: &'static str, why: &'static str) -> Self {
        Self { sentence, unchecked: Some(why) }
    }
}
