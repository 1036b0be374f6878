//! Philox4x32-10, the counter-based generator of Salmon et al. (2011).
//!
//! Ten rounds of multiplying, exchanging words and mixing in the key turn a 128-bit counter and a
//! 64-bit key into 128 bits that pass BigCrush. There is no state: the counter is the position.
//!
//! # Reference
//! Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Number of counters that [`philox4x32_lanes`] processes together.
pub const LANES: usize = 16;

/// One block: four words for a counter and a key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter.map(|word| [word; 1]);
    rounds(&mut words, key);
    words.map(|[word]| word)
}

/// [`LANES`] blocks at once: on input, `words[w][lane]` is word `w` of the counter of `lane`; on
/// output, it is word `w` of its block.
///
/// This is inlined into callers that enable wide vector instructions, where each round is a
/// handful of instructions for all lanes.
#[inline(always)]
pub fn philox4x32_lanes(words: &mut [[u32; LANES]; 4], key: [u32; 2]) {
    rounds(words, key);
}

#[inline(always)]
fn rounds<const N: usize>(words: &mut [[u32; N]; 4], mut key: [u32; 2]) {
    // Each word is the low half of 64 bits, and the high half is ignored. A product of two words is one instruction,
    // and the next round uses both halves of it without packing them.
    const LOW: u64 = u32::MAX as u64;
    let mut wide = words.map(|word| word.map(u64::from));
    for _ in 0..ROUNDS {
        let [c0, c1, c2, c3] = wide;
        for lane in 0..N {
            let p0 = u64::from(MULTIPLIERS[0]) * (c0[lane] & LOW);
            let p1 = u64::from(MULTIPLIERS[1]) * (c2[lane] & LOW);
            wide[0][lane] = (p1 >> 32) ^ c1[lane] ^ u64::from(key[0]);
            wide[1][lane] = p1;
            wide[2][lane] = (p0 >> 32) ^ c3[lane] ^ u64::from(key[1]);
            wide[3][lane] = p0;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    *words = wide.map(|word| word.map(|value| value as u32));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_the_reference_implementation() {
        // kat_vectors of Random123 1.14, philox4x32 10.
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in cases {
            assert_eq!(philox4x32(counter, key), words);
        }
    }

    #[test]
    fn lanes_agree_with_single_blocks() {
        let mut words = [[0; LANES]; 4];
        for (lane, word) in words[0].iter_mut().enumerate() {
            *word = lane as u32;
        }
        philox4x32_lanes(&mut words, [5, 6]);
        for lane in 0..LANES {
            assert_eq!(words.map(|w| w[lane]), philox4x32([lane as u32, 0, 0, 0], [5, 6]));
        }
    }
}
