use std::sync::Arc;

use futures_util::future::join_all;
use qis_fingerprint::{EmbedError, EmbedErrorKind, Embedder, Fingerprint};

use super::Setup;
use crate::requirement::Requirement;
use crate::runner::{Always, Check, Context, Outcome, Stop, broken, check, ensure, poll_and_drop};

const ONE_EACH: &str = "One fingerprint a text, in the order of the texts.";
const IN_SPACE: &str = "Each is in `space`, and all have the same number of dimensions.";
const SAME: &str = "The same text gives the same fingerprint, on this node and on every peer of the space: a packet is routed by it.";
const ALIKE: &str = "Texts of like meaning give a high cosine.";
const SEVERAL: &str = "`embed` is called from the node's `emit`, one call at a time for each emission and concurrently between emissions.";
const DROPPED: &str =
    "The caller owns the time-out and may drop the future, which must leave nothing broken.";
const REFUSED: &str =
    "A text that can't be embedded is an error of kind `EmbedErrorKind::Text`, never a made-up fingerprint.";
const PANICS: &str = "It does not panic, whatever the text.";

pub(super) const ALWAYS: Always = Always { of: "embedder", panics: PANICS, ends: None, waits: None };

pub(super) const UNCHECKED: &[Requirement] = &[
    Requirement::unchecked(
        "Put the model's version into the space's name.",
        "two versions of a model are needed to see it",
    ),
    Requirement::unchecked("Nothing else in the library knows what a text means.", "it is a remark"),
    Requirement::unchecked("It may wait for a device or a service.", "it says what is allowed"),
];

pub(super) const CHECKS: &[Check<Setup>] = &[
    check!(one_fingerprint_a_text_in_their_order, [ONE_EACH]),
    check!(all_fingerprints_are_of_the_space, [IN_SPACE]),
    check!(a_text_gives_the_same_fingerprint_each_time, [SAME]),
    check!(another_embedder_of_the_space_gives_the_same, [SAME]),
    check!(several_calls_at_a_time_give_the_same_as_one, [SEVERAL, ONE_EACH]),
    check!(a_dropped_call_leaves_nothing_broken, [DROPPED]),
    check!(texts_that_cannot_be_embedded_are_refused, [REFUSED, ONE_EACH, IN_SPACE]),
    check!(texts_of_like_meaning_are_closer, [ALIKE]),
];

/// Texts that any embedder of situations should know what to make of.
const TEXTS: [&str; 6] = [
    "adults with chest pain",
    "children with asthma, in cities",
    "wheat rust in dry soil",
    "late trains in winter",
    "response times of a web service at night",
    "adults with chest pain and diabetes, over sixty years old",
];

impl Setup {
    async fn embedder(&self) -> Result<Box<dyn Embedder>, Stop> {
        (self.open)().await.map_err(|error| Stop::failed("the embedder could not be made", error))
    }

    /// What a call gives, in time.
    async fn try_embed(
        &self,
        embedder: &dyn Embedder,
        texts: &[&str],
    ) -> Result<Result<Vec<Fingerprint>, EmbedError>, Stop> {
        self.in_time("a call", embedder.embed(texts)).await
    }

    /// The fingerprints of texts that there is nothing wrong with.
    async fn embed(&self, embedder: &dyn Embedder, texts: &[&str]) -> Result<Vec<Fingerprint>, Stop> {
        let fingerprints = self.try_embed(embedder, texts).await?;
        let fingerprints = fingerprints.map_err(|error| Stop::failed("plain texts", error))?;
        ensure(fingerprints.len() == texts.len(), ONE_EACH, || {
            format!("{} fingerprints for {} texts", fingerprints.len(), texts.len())
        })?;
        Ok(fingerprints)
    }

    async fn one(&self, embedder: &dyn Embedder, text: &str) -> Result<Fingerprint, Stop> {
        let found = self.embed(embedder, &[text]).await?.pop();
        found.ok_or_else(|| broken(ONE_EACH, "no fingerprint for a text"))
    }
}

async fn one_fingerprint_a_text_in_their_order(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let mut alone = Vec::new();
    for text in TEXTS {
        alone.push(setup.one(&*embedder, text).await?);
    }
    let together = setup.embed(&*embedder, &TEXTS).await?;
    let mut backward = TEXTS;
    backward.reverse();
    let mut backward = setup.embed(&*embedder, &backward).await?;
    backward.reverse();
    ensure(together == alone && backward == alone, ONE_EACH, || {
        "a batch gives other fingerprints, or in another order, than its texts one by one".to_owned()
    })?;
    setup.embed(&*embedder, &[]).await.map(|_| ())
}

fn ensure_in_space(embedder: &dyn Embedder, fingerprint: &Fingerprint, dims: usize) -> Outcome {
    let (space, theirs) = (embedder.space(), fingerprint.space());
    ensure(theirs == space, IN_SPACE, || {
        format!("a fingerprint is of space {theirs}, the embedder of {space}")
    })?;
    let found = fingerprint.dims();
    ensure(found == dims, IN_SPACE, || format!("a fingerprint has {found} dimensions, another one {dims}"))
}

async fn all_fingerprints_are_of_the_space(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let fingerprints = setup.embed(&*embedder, &TEXTS).await?;
    let dims = fingerprints.first().map_or(0, Fingerprint::dims);
    fingerprints.iter().try_for_each(|fingerprint| ensure_in_space(&*embedder, fingerprint, dims))
}

fn ensure_same(text: &str, first: &Fingerprint, again: &Fingerprint, when: &str) -> Outcome {
    ensure(first == again, SAME, || {
        let cosine = first.cosine(again).map_or_else(|error| error.to_string(), |cosine| cosine.to_string());
        format!("{text:?} gives another fingerprint {when}; their cosine: {cosine}")
    })
}

async fn a_text_gives_the_same_fingerprint_each_time(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let first = setup.embed(&*embedder, &TEXTS).await?;
    for _ in 0..3 {
        for (text, first) in TEXTS.iter().zip(&first) {
            ensure_same(text, first, &setup.one(&*embedder, text).await?, "the next time")?;
        }
    }
    let twice = setup.embed(&*embedder, &[TEXTS[0], TEXTS[1], TEXTS[0]]).await?;
    if let [one, _, other] = &twice[..] {
        ensure_same(TEXTS[0], one, other, "in the same batch")?;
    }
    Ok(())
}

async fn another_embedder_of_the_space_gives_the_same(setup: Arc<Setup>) -> Outcome {
    let (embedder, peers) = (setup.embedder().await?, setup.embedder().await?);
    let (ours, theirs) = (embedder.space(), peers.space());
    ensure(ours == theirs, SAME, || {
        format!("two embedders that were made alike are of {ours} and {theirs}")
    })?;
    // Texts that come in another order, as they do elsewhere.
    for text in TEXTS.iter().rev() {
        setup.one(&*peers, text).await?;
    }
    for text in TEXTS {
        let (one, other) = (setup.one(&*embedder, text).await?, setup.one(&*peers, text).await?);
        ensure_same(text, &one, &other, "by another embedder")?;
    }
    Ok(())
}

async fn several_calls_at_a_time_give_the_same_as_one(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let first = setup.embed(&*embedder, &TEXTS).await?;
    let texts: Vec<(&str, &Fingerprint)> = TEXTS.into_iter().zip(&first).cycle().take(24).collect();
    let calls = texts.iter().map(|(text, _)| setup.one(&*embedder, text));
    for ((text, first), found) in texts.iter().zip(join_all(calls).await) {
        let found = found.map_err(|stop| match stop {
            Stop::Failed(found) => broken(SEVERAL, found),
            other => other,
        })?;
        ensure(found == **first, SEVERAL, || {
            format!("{text:?} gives another fingerprint when others are embedded at the time")
        })?;
    }
    Ok(())
}

async fn a_dropped_call_leaves_nothing_broken(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let first = setup.embed(&*embedder, &TEXTS).await?;
    for times in 0..8 {
        poll_and_drop(times % 4, embedder.embed(&TEXTS)).await;
    }
    let again = setup.embed(&*embedder, &TEXTS).await.map_err(|stop| match stop {
        Stop::Broken { found, .. } | Stop::Failed(found) => {
            broken(DROPPED, format!("after calls that were dropped: {found}"))
        }
        left_out @ Stop::LeftOut(_) => left_out,
    })?;
    ensure(again == first, DROPPED, || {
        "after calls that were dropped, texts give other fingerprints".to_owned()
    })
}

async fn texts_that_cannot_be_embedded_are_refused(setup: Arc<Setup>) -> Outcome {
    let embedder = setup.embedder().await?;
    let dims = setup.one(&*embedder, TEXTS[0]).await?.dims();
    let long = "chest pain ".repeat(100_000);
    for text in ["", " ", "\n\t", "\0", "?!", "é", "胸痛", "👩‍⚕️", "\u{202e}niap", "a", &long] {
        let shown: String = text.chars().take(12).collect();
        match setup.try_embed(&*embedder, &[text]).await? {
            Ok(fingerprints) => {
                let [fingerprint] = &fingerprints[..] else {
                    let found = format!("{} fingerprints for {shown:?}", fingerprints.len());
                    return Err(broken(ONE_EACH, found));
                };
                ensure_in_space(&*embedder, fingerprint, dims)?;
            }
            Err(error) => ensure(error.kind() == EmbedErrorKind::Text, REFUSED, || {
                format!("{shown:?}, {} bytes: {error}", text.len())
            })?,
        }
    }
    for text in &setup.refused {
        let found = setup.try_embed(&*embedder, &[text]).await?.map_err(|error| error.kind());
        ensure(matches!(found, Err(EmbedErrorKind::Text)), REFUSED, || match found {
            Ok(_) => format!("{text:?} gives a fingerprint"),
            Err(kind) => format!("{text:?} is an error of kind {kind:?}"),
        })?;
    }
    Ok(())
}

async fn texts_of_like_meaning_are_closer(setup: Arc<Setup>) -> Outcome {
    if setup.alike.is_empty() {
        return Err(Stop::LeftOut("no texts of like meaning were given: see `Suite::alike`"));
    }
    let embedder = setup.embedder().await?;
    for [one, like, unlike] in &setup.alike {
        let fingerprint = setup.one(&*embedder, one).await?;
        let mut cosines = [0.0; 2];
        for (cosine, text) in cosines.iter_mut().zip([like, unlike]) {
            let other = setup.one(&*embedder, text).await?;
            *cosine = fingerprint.cosine(&other).map_err(|error| broken(IN_SPACE, error.to_string()))?;
        }
        let [near, far] = cosines;
        ensure(near > far, ALIKE, || format!("{one:?} is {near} from {like:?} and {far} from {unlike:?}"))?;
    }
    Ok(())
}
