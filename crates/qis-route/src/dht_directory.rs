//! A directory over any table of keys and values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{AuthorId, Identity, NetworkId, Order};

use crate::draw::{SplitMix, take_any};
use crate::lsh;
use crate::overlay::{Admission, Contact, MAX_CREDENTIAL_BYTES, MAX_DESCRIPTOR_BYTES, Open, Statement};
use crate::proto::ConfigError;
use crate::{Descriptor, Directory, HostError, HostErrorKind, Peer};

/// Of one more bit there are so many codes that fewer members than this are to each: finer ones lose more than they gain.
const MEMBERS_A_CODE: u32 = 16;
const MOST_BITS: u8 = 24;
/// How many keys a sample asks for at a time, and how often.
const SAMPLE_KEYS: usize = 16;
const SAMPLE_ROUNDS: usize = 3;
/// Spaces that are announced in and can be sampled from; the oldest is forgotten beyond.
const MOST_SPACES: usize = 8;

/// A table of keys and values that some nodes hold together, such as a Kademlia DHT: whatever is put under a key can be got by it.
///
/// # To be correct
///
/// - A key has several values, of several nodes. It keeps at least 20, for a day, then may forget them. It need not know which of
///   them are of one node, nor whether they are good: who gets them verifies them.
/// - `get` returns values that were put under this very key. Missing some, or all, is allowed and costs quality; a key without values is
///   no error.
/// - A value has up to some 600 bytes for fingerprints of 384 dimensions, and 1,651 at most.
/// - Both are called from the futures of the directory, many at a time, and may wait for a network. The futures may be dropped.
#[async_trait]
pub trait Dht: fmt::Debug + Send + Sync + 'static {
    /// Puts a value beside those that are there.
    async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError>;

    /// The values of a key.
    async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<D: Dht + ?Sized> Dht for $pointer {
            async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError> {
                (**self).put(key, value).await
            }

            async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError> {
                (**self).get(key).await
            }
        }
    };
}
forward!(Box<D>);
forward!(Arc<D>);
forward!(&'static D);

/// How fingerprints become keys. All nodes of a network need the same `tables` and `bits`, or they do not find each other.
///
/// Later versions add fields: write `DhtConfig { probes, ..DhtConfig::for_members(n) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhtConfig {
    /// Under how many keys a node is put, 1 to 64, 16 by default. More find more, and cost as many puts and gets.
    pub tables: u8,
    /// Bits of the code that a key is made of, 0 to 24: so that `2^bits` is the number of members over some tens. Fewer put
    /// more members under a key than are looked at.
    pub bits: u8,
    /// Further keys that a look-up gets in each table, of codes that differ in the bit that is least sure, then in the next one: 0 to 8 and
    /// at most `bits`, 4 by default. Each costs as many gets as there are tables.
    pub probes: u8,
    /// How many values of a key are looked at, 1 to 200, 20 by default. Each may cost two signatures to verify.
    pub providers: u8,
}

/// Finds similar nodes by locality-sensitive hashing over any table of exact keys: for a network that has a DHT already.
///
/// A node's fingerprint lies on one side or the other of some random planes; which, makes a code, and the key of the
/// [`Dht`] under which the node's signed descriptor is put, in each of 16 tables with planes of their own. A look-up gets the values under the
/// codes of what it looks for and those next to them, verifies what comes, and compares it exactly. The planes
/// follow from the space by integer arithmetic, so all nodes have the same ones.
///
/// **It is the compatible way for small networks, not the accurate one.** The share of the true 20 most similar nodes it finds, as measured
/// with [`DhtConfig::for_members`] and 20 values a key kept by the DHT:
///
/// | members | vectors | 16 gets | 32 | 48 | 80, the default |
/// |---|---|---|---|---|---|
/// | 1,000 | sentence embeddings, 384 dimensions | .45 | .66 | .78 | .88 |
/// | 10,000 | sentence embeddings, 384 dimensions | .16 | .27 | .36 | .48 |
/// | 1,000 | synthetic, in clusters, 128 dimensions | .80 | .94 | .97 | .99 |
///
/// [`FullMesh`](crate::FullMesh) finds all of them, and the [`overlay`](crate::overlay) .985 of them among 10,000 members, in 27 requests.
///
/// A value is a descriptor as the overlay has it, signed, since values come from strangers; one is verified before its node is named. What an
/// author announced earlier may still be there: the most similar of its descriptors counts, and of those that are alike the newest.
///
/// A [sample](Directory::sample) gets keys of random codes in the spaces that were announced in, so members in crowded places are less
/// likely than others, and those whom nobody is like more.
#[derive(Debug)]
pub struct DhtDirectory<D> {
    dht: D,
    config: DhtConfig,
    identity: Identity,
    network: NetworkId,
    admission: Arc<dyn Admission>,
    credential: Vec<u8>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    order: Order,
    draws: SplitMix,
    /// Spaces and dimensions, the latest last.
    spaces: Vec<(SpaceId, usize)>,
}

impl DhtConfig {
    /// For a network of about this many members.
    #[must_use]
    pub fn for_members(members: u32) -> Self {
        let codes = members / MEMBERS_A_CODE;
        let bits = u8::try_from(u32::BITS - codes.leading_zeros()).unwrap_or(MOST_BITS).min(MOST_BITS);
        Self { tables: 16, bits, probes: bits.min(4), providers: 20 }
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        if !(1..=64).contains(&self.tables) {
            refuse("tables", "must be 1 to 64")
        } else if self.bits > MOST_BITS {
            refuse("bits", "must be 0 to 24")
        } else if self.probes > self.bits.min(8) {
            refuse("probes", "must be 0 to 8 and at most bits")
        } else if !(1..=200).contains(&self.providers) {
            refuse("providers", "must be 1 to 200")
        } else {
            Ok(())
        }
    }
}

impl Default for DhtConfig {
    /// For a thousand members.
    fn default() -> Self {
        Self::for_members(1000)
    }
}

impl<D: Dht> DhtDirectory<D> {
    /// The directory of a node over its access to a DHT, for about a thousand members who need no credential.
    ///
    /// `identity` is the node's own, to sign its descriptors. Of its descriptors that a DHT has, those of the higher `incarnation` are the newer:
    /// give one that rises from start to start, such as the seconds since 2020.
    #[must_use]
    pub fn new(dht: D, identity: Identity, network: NetworkId, incarnation: u32) -> Self {
        let seed = identity.author().as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes);
        let order = Order { incarnation, sequence: 0 };
        let state = State { order, draws: SplitMix::new(seed), spaces: Vec::new() };
        Self {
            dht,
            config: DhtConfig::default(),
            identity,
            network,
            admission: Arc::new(Open),
            credential: Vec::new(),
            state: Mutex::new(state),
        }
    }

    /// With other tables, codes or bounds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the field that is out of its range.
    pub fn with_config(self, config: DhtConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config, ..self })
    }

    /// Takes only members whom this admits, and shows the others `credential`, of at most
    /// [`MAX_CREDENTIAL_BYTES`](crate::overlay::MAX_CREDENTIAL_BYTES).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the credential is larger.
    pub fn with_admission(
        self,
        admission: Arc<dyn Admission>,
        credential: Vec<u8>,
    ) -> Result<Self, ConfigError> {
        if credential.len() > MAX_CREDENTIAL_BYTES {
            return Err(ConfigError { field: "credential", problem: "must have at most 256 bytes" });
        }
        Ok(Self { admission, credential, ..self })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The distinct values of these keys; an error when none of them could be got.
    async fn values(&self, keys: &[[u8; 32]]) -> Result<BTreeSet<Vec<u8>>, HostError> {
        let mut values = BTreeSet::new();
        let (mut error, mut got) = (None, false);
        for result in join(keys.iter().map(|&key| self.dht.get(key)).collect()).await {
            match result {
                Ok(some) => {
                    got = true;
                    let fits = |value: &Vec<u8>| value.len() <= MAX_DESCRIPTOR_BYTES;
                    values.extend(some.into_iter().take(self.config.providers.into()).filter(fits));
                }
                Err(one) => error = error.or(Some(one)),
            }
        }
        match error {
            Some(error) if !got => Err(error),
            _ => Ok(values),
        }
    }

    /// The node of a value, if it is the descriptor of one.
    fn peer(&self, value: &[u8], fingerprint: Fingerprint) -> Option<Peer> {
        let contact = Contact::verify(value, self.network, &*self.admission).ok()?;
        let (author, address) = (contact.author(), contact.to_address());
        Some(Peer { author, address, fingerprint, organisation: contact.organisation() })
    }
}

#[async_trait]
impl<D: Dht> Directory for DhtDirectory<D> {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        let refused = |why: &'static str| HostError::new(HostErrorKind::Refused, why);
        if descriptor.author != self.identity.author() {
            return Err(refused("the descriptor is of another author than the directory signs for"));
        }
        let space = (descriptor.fingerprint.space(), descriptor.fingerprint.dims());
        let order = {
            let mut state = self.lock();
            state.spaces.retain(|one| *one != space);
            if state.spaces.len() >= MOST_SPACES {
                state.spaces.remove(0);
            }
            state.spaces.push(space);
            state.order.sequence = state.order.sequence.saturating_add(1);
            state.order
        };
        let statement = Statement {
            address: descriptor.address.clone(),
            fingerprint: descriptor.fingerprint.clone(),
            order,
            credential: self.credential.clone(),
        };
        let value = statement.sign(&self.identity, self.network);
        let value = value.map_err(|error| HostError::new(HostErrorKind::Refused, error))?;
        let keys = lsh::keys(&self.config, self.network, &descriptor.fingerprint, 0);
        let puts = keys.into_iter().map(|key| self.dht.put(key, value.clone())).collect();
        // All are tried; one that failed is reported, so that the node announces again soon.
        join(puts).await.into_iter().collect()
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        let keys = lsh::keys(&self.config, self.network, fingerprint, self.config.probes);
        let claimed = |value: Vec<u8>| {
            let (theirs, order) = Contact::claimed_situation(&value)?;
            let cosine = theirs.cosine(fingerprint).ok()?;
            Some((cosine, order, theirs, value))
        };
        let mut found: Vec<_> = self.values(&keys).await?.into_iter().filter_map(claimed).collect();
        // Signatures are costly, so the best are verified until there are enough. Of an author that says the same several times, the
        // newest comes first.
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let mut peers: BTreeSet<AuthorId> = BTreeSet::new();
        let verified = found.into_iter().filter_map(|(_, _, theirs, value)| self.peer(&value, theirs));
        Ok(verified.filter(|peer| peers.insert(peer.author)).take(k).collect())
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        let mut values: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut draws = {
            let mut state = self.lock();
            // The state goes on from elsewhere, so that samples at the same time differ.
            SplitMix::new(state.draws.next())
        };
        for _ in 0..SAMPLE_ROUNDS {
            let spaces = self.lock().spaces.clone();
            let keys: Vec<[u8; 32]> = (0..SAMPLE_KEYS)
                .filter_map(|_| {
                    let (space, dims) = take_any(&mut spaces.clone(), || draws.next())?;
                    let table = take_any(&mut (0..self.config.tables).collect(), || draws.next())?;
                    let code =
                        u32::try_from(draws.next() >> 32).unwrap_or_default() & ((1 << self.config.bits) - 1);
                    Some(lsh::key(self.config.bits, self.network, (space.to_bytes(), dims), table, code))
                })
                .collect();
            values.extend(self.values(&keys).await?);
            // Of some there are several.
            if keys.is_empty() || values.len() >= k.saturating_mul(2) {
                break;
            }
        }
        let mut values: Vec<Vec<u8>> = values.into_iter().collect();
        let mut peers: BTreeMap<AuthorId, Peer> = BTreeMap::new();
        while peers.len() < k {
            let Some(value) = take_any(&mut values, || draws.next()) else { break };
            let claimed = Contact::claimed_situation(&value);
            if let Some(peer) = claimed.and_then(|(fingerprint, _)| self.peer(&value, fingerprint)) {
                peers.entry(peer.author).or_insert(peer);
            }
        }
        Ok(peers.into_values().collect())
    }
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for all of them at a time; the results are in the order of the futures.
async fn join<T: Send>(mut futures: Vec<Pending<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *result = Some(ready),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use qis_packet::Timestamp;

    use super::*;
    use crate::Organisation;
    use crate::overlay::{Credential, Issuers};

    /// Answers at the second poll, and fails for keys below what a test says.
    #[derive(Debug, Default)]
    struct Table {
        values: Mutex<BTreeMap<[u8; 32], Vec<Vec<u8>>>>,
        fails_below: Mutex<u16>,
        verified: Mutex<usize>,
    }

    impl Table {
        async fn wait(&self, key: &[u8; 32]) -> Result<(), HostError> {
            let mut asked = false;
            poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
            if u16::from(key[0]) < *self.fails_below.lock().unwrap() {
                return Err(HostError::new(HostErrorKind::Unavailable, "as the test says"));
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Dht for Table {
        async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError> {
            self.wait(&key).await?;
            self.values.lock().unwrap().entry(key).or_default().push(value);
            Ok(())
        }

        async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError> {
            self.wait(&key).await?;
            Ok(self.values.lock().unwrap().get(&key).cloned().unwrap_or_default())
        }
    }

    impl Admission for Table {
        fn admits(&self, _: AuthorId, _: &[u8]) -> Result<crate::overlay::Admitted, crate::overlay::Refusal> {
            *self.verified.lock().unwrap() += 1;
            Ok(crate::overlay::Admitted::default())
        }
    }

    /// Polls until it is ready; all that waits at a time is ready after one round.
    fn soon<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        for _ in 0..5 {
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
        }
        panic!("gets and puts wait for each other");
    }

    fn network() -> NetworkId {
        NetworkId::new("test")
    }

    fn member(dht: &Arc<Table>, seed: u8) -> DhtDirectory<Arc<Table>> {
        DhtDirectory::new(Arc::clone(dht), Identity::from_seed([seed; 32]), network(), 1)
    }

    fn descriptor(seed: u8, address: &str, codes: &[i8]) -> Descriptor {
        let fingerprint = Fingerprint::from_codes(SpaceId::new("t", 3), codes.to_vec()).unwrap();
        let author = Identity::from_seed([seed; 32]).author();
        Descriptor::new(author, address.parse().unwrap(), "a".parse().unwrap(), fingerprint)
    }

    fn addresses(peers: &[Peer]) -> Vec<&str> {
        peers.iter().map(|peer| peer.address.as_str()).collect()
    }

    /// Five members in one direction, each a little further from it, and one in the other.
    fn network_of_six() -> Arc<Table> {
        let dht = Arc::new(Table::default());
        for seed in 1..=5_u8 {
            let codes = [127, 8 * seed.cast_signed(), 0];
            soon(member(&dht, seed).announce(&descriptor(seed, &format!("n:{seed}"), &codes))).unwrap();
        }
        soon(member(&dht, 6).announce(&descriptor(6, "n:6", &[-127, 0, 0]))).unwrap();
        dht
    }

    #[test]
    fn the_most_similar_come_first_once_each_and_only_they_are_verified() {
        let dht = network_of_six();
        // Once more, from elsewhere: the newer one counts.
        let moved = member(&dht, 2);
        soon(moved.announce(&descriptor(2, "old", &[127, 16, 0]))).unwrap();
        soon(moved.announce(&descriptor(2, "moved", &[127, 16, 0]))).unwrap();
        let asking = member(&dht, 9).with_admission(Arc::clone(&dht) as _, Vec::new()).unwrap();
        let query = descriptor(9, "n:9", &[127, 0, 0]).fingerprint;
        let found = soon(asking.nearest(&query, 3)).unwrap();
        assert_eq!(addresses(&found), ["n:1", "moved", "n:3"]);
        assert!(found.iter().all(|peer| peer.organisation.is_none()));
        assert!(*dht.verified.lock().unwrap() <= 5, "one each, and two that were older");
        let elsewhere = Fingerprint::from_codes(SpaceId::new("u", 3), vec![127, 0, 0]).unwrap();
        assert!(soon(asking.nearest(&elsewhere, 3)).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_signed_by_its_author_is_left_out() {
        let dht = network_of_six();
        for values in dht.values.lock().unwrap().values_mut() {
            let mut tampered = values[0].clone();
            let address = tampered.windows(3).position(|bytes| bytes == b"n:1").unwrap_or(50);
            tampered[address] = b'x';
            *values = vec![vec![7; 40], Vec::new(), tampered];
        }
        let query = descriptor(9, "n:9", &[127, 0, 0]).fingerprint;
        assert!(soon(member(&dht, 9).nearest(&query, 20)).unwrap().is_empty());
    }

    #[test]
    fn a_sample_names_any_members_of_spaces_that_are_known() {
        let dht = network_of_six();
        let asking = member(&dht, 9).with_config(DhtConfig::for_members(40)).unwrap();
        assert!(soon(asking.sample(4)).unwrap().is_empty(), "no space is known yet");
        let dht = Arc::new(Table::default());
        for seed in 1..=20_u8 {
            let small = member(&dht, seed).with_config(DhtConfig::for_members(40)).unwrap();
            let codes = [60, seed.cast_signed() * 6 - 60, 5];
            soon(small.announce(&descriptor(seed, &format!("n:{seed}"), &codes))).unwrap();
        }
        let asking = member(&dht, 1).with_config(DhtConfig::for_members(40)).unwrap();
        soon(asking.announce(&descriptor(1, "n:1", &[1, 1, 1]))).unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            let drawn = soon(asking.sample(4)).unwrap();
            let distinct: BTreeSet<_> = drawn.iter().map(|peer| peer.author).collect();
            assert_eq!((drawn.len(), distinct.len()), (4, 4));
            seen.extend(distinct);
        }
        assert!(seen.len() > 12, "{} of 20", seen.len());
    }

    #[test]
    fn failures_cost_quality_and_are_reported_where_a_repetition_helps() {
        let dht = network_of_six();
        let query = descriptor(9, "n:9", &[127, 0, 0]).fingerprint;
        *dht.fails_below.lock().unwrap() = 128;
        assert_eq!(soon(member(&dht, 9).nearest(&query, 3)).unwrap().len(), 3);
        let announced = soon(member(&dht, 7).announce(&descriptor(7, "n:7", &[127, 0, 0])));
        assert!(announced.unwrap_err().is_retryable());
        assert_eq!(addresses(&soon(member(&dht, 9).nearest(&query, 1)).unwrap()), ["n:7"]);
        *dht.fails_below.lock().unwrap() = 256;
        assert!(soon(member(&dht, 9).nearest(&query, 3)).is_err());
        let other = soon(member(&dht, 8).announce(&descriptor(7, "n:7", &[127, 0, 0])));
        assert_eq!(other.unwrap_err().kind(), HostErrorKind::Refused);
    }

    #[test]
    fn only_who_is_admitted_is_named_and_on_whose_behalf() {
        let (dht, issuer) = (network_of_six(), Identity::from_seed([50; 32]));
        let (of, now) = (Organisation::new("st-mary"), Timestamp::from_unix_seconds(5));
        let issuers = Arc::new(Issuers::new(network(), [issuer.public_key()], now));
        let admitted = |seed| {
            let author = Identity::from_seed([seed; 32]).author();
            let credential = Credential::issue(&issuer, network(), author, of, now);
            member(&dht, seed).with_admission(Arc::clone(&issuers) as _, credential).unwrap()
        };
        soon(admitted(7).announce(&descriptor(7, "n:7", &[127, 5, 0]))).unwrap();
        let query = descriptor(9, "n:9", &[127, 0, 0]).fingerprint;
        let found = soon(admitted(8).nearest(&query, 20)).unwrap();
        assert_eq!((addresses(&found), found[0].organisation), (vec!["n:7"], Some(of)));
        issuers.set_time(now.saturating_add(1000));
        assert!(soon(admitted(8).nearest(&query, 20)).unwrap().is_empty(), "it has expired");
        assert!(member(&dht, 1).with_admission(Arc::clone(&issuers) as _, vec![0; 257]).is_err());
    }

    #[test]
    fn bits_go_by_the_members_and_the_field_that_is_refused_is_named() {
        for (members, bits) in [(0, 0), (15, 0), (16, 1), (1000, 6), (10_000, 10), (u32::MAX, 24)] {
            let config = DhtConfig::for_members(members);
            assert_eq!((config.bits, config.validate()), (bits, Ok(())));
        }
        let refused = |change: fn(&mut DhtConfig)| {
            let mut config = DhtConfig::default();
            change(&mut config);
            config.validate().unwrap_err().field
        };
        assert_eq!(refused(|c| c.tables = 0), "tables");
        assert_eq!(refused(|c| c.bits = 25), "bits");
        assert_eq!(refused(|c| c.probes = 7), "probes");
        assert_eq!(refused(|c| c.providers = 0), "providers");
    }
}
