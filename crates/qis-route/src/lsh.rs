//! Codes of fingerprints that similar ones often share: on which side of some random planes they lie.

use qis_fingerprint::Fingerprint;
use qis_packet::NetworkId;
use sha2::{Digest, Sha256};

use crate::dht_directory::DhtConfig;
use crate::draw::SplitMix;

/// A code of one table, and how sure each of its bits is.
struct Coded {
    code: u32,
    /// The bits, the least sure first.
    doubtful: Vec<u8>,
}

/// The keys of a fingerprint: of its own code in each table, then of the codes that differ in one of the `probes` least sure bits.
pub(crate) fn keys(
    config: &DhtConfig,
    network: NetworkId,
    fingerprint: &Fingerprint,
    probes: u8,
) -> Vec<[u8; 32]> {
    let mut keys = Vec::new();
    for table in 0..config.tables {
        let Coded { code, doubtful } = coded(config.bits, table, fingerprint);
        let near = doubtful.into_iter().take(probes.into()).map(|bit| code ^ (1 << bit));
        let codes = std::iter::once(code).chain(near);
        keys.extend(codes.map(|code| {
            key(config.bits, network, (fingerprint.space().to_bytes(), fingerprint.dims()), table, code)
        }));
    }
    keys
}

/// The key of a code.
pub(crate) fn key(
    bits: u8,
    network: NetworkId,
    (space, dims): ([u8; 4], usize),
    table: u8,
    code: u32,
) -> [u8; 32] {
    let dims = u16::try_from(dims).unwrap_or(u16::MAX);
    Sha256::new()
        .chain_update(b"qis/lsh/key/1")
        .chain_update(network.as_bytes())
        .chain_update(space)
        .chain_update(dims.to_le_bytes())
        .chain_update([bits, table])
        .chain_update(code.to_le_bytes())
        .finalize()
        .into()
}

fn coded(bits: u8, table: u8, fingerprint: &Fingerprint) -> Coded {
    let mut code = 0;
    let mut distances: Vec<(u64, u8)> = Vec::with_capacity(bits.into());
    for bit in 0..bits {
        let distance = distance(table, bit, fingerprint);
        code |= u32::from(distance >= 0) << bit;
        distances.push((distance.unsigned_abs(), bit));
    }
    distances.sort_unstable();
    Coded { code, doubtful: distances.into_iter().map(|(_, bit)| bit).collect() }
}

/// How far a fingerprint is from a plane, times the length of both. The plane's coordinates are nearly normal: sums of eight bytes.
fn distance(table: u8, bit: u8, fingerprint: &Fingerprint) -> i64 {
    let dims = u16::try_from(fingerprint.dims()).unwrap_or(u16::MAX);
    let seed: [u8; 32] = Sha256::new()
        .chain_update(b"qis/lsh/plane/1")
        .chain_update(fingerprint.space().to_bytes())
        .chain_update(dims.to_le_bytes())
        .chain_update([table, bit])
        .finalize()
        .into();
    let mut numbers = SplitMix::new(seed.first_chunk().copied().map_or(0, u64::from_le_bytes));
    let mut coordinate =
        || numbers.next().to_le_bytes().into_iter().map(i64::from).sum::<i64>() - 8 * 255 / 2;
    fingerprint.codes().iter().map(|&code| i64::from(code) * coordinate()).sum()
}

#[cfg(test)]
mod tests {
    use qis_fingerprint::SpaceId;

    use super::*;

    fn fingerprint(codes: Vec<i8>) -> Fingerprint {
        Fingerprint::from_codes(SpaceId::new("t", 64), codes).unwrap()
    }

    #[test]
    fn the_angle_decides_how_many_bits_are_shared() {
        let mut numbers = SplitMix::new(5);
        let mut codes = || (0..64).map(|_| (numbers.next() >> 57) as i8 - 64).collect::<Vec<i8>>();
        let shared = |a: &Fingerprint, b: &Fingerprint| {
            let equal = |table| !(coded(24, table, a).code ^ coded(24, table, b).code) & 0xff_ffff;
            (0..64).map(|table| equal(table).count_ones()).sum::<u32>()
        };
        let (mut bits, mut expected) = (0.0, 0.0);
        for _ in 0..20 {
            let (a, b) = (codes(), codes());
            let middle = a.iter().zip(&b).map(|(a, b)| a / 2 + b / 4).collect();
            let (a, middle) = (fingerprint(a), fingerprint(middle));
            bits += f64::from(shared(&a, &middle)) / (24.0 * 64.0);
            expected += 1.0 - f64::from(a.cosine(&middle).unwrap()).acos() / std::f64::consts::PI;
        }
        assert!((bits - expected).abs() / 20.0 < 0.01, "{bits} of {expected}");
    }

    #[test]
    fn the_wire_format_s_vector() {
        let one = Fingerprint::from_codes(SpaceId::new("test", 3), vec![3, -4, 127]).unwrap();
        let config = DhtConfig::for_members(1000);
        let codes = (0..4).map(|table| coded(config.bits, table, &one).code);
        assert_eq!(codes.collect::<Vec<_>>(), [55, 32, 9, 15]);
        let key = keys(&config, NetworkId::new("test"), &one, 0)[0];
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b87705c59c37d5024bdf4f8b352f497066333fe197adbf89d79fa1e7d8db8bef");
    }

    #[test]
    fn keys_are_of_one_network_space_table_and_code() {
        let config = DhtConfig::for_members(1000);
        let one = fingerprint((0..64).collect());
        let own = keys(&config, NetworkId::new("a"), &one, 0);
        let all = keys(&config, NetworkId::new("a"), &one, 2);
        assert_eq!((own.len(), all.len()), (16, 48));
        assert!(own.iter().enumerate().all(|(at, key)| all[3 * at] == *key));
        let elsewhere = Fingerprint::from_codes(SpaceId::new("u", 64), one.codes().to_vec()).unwrap();
        let mut distinct = [
            all,
            keys(&config, NetworkId::new("b"), &one, 0),
            keys(&config, NetworkId::new("a"), &elsewhere, 0),
        ]
        .concat();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 48 + 16 + 16);
    }
}
