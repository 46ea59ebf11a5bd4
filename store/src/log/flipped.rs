//! Tells a flipped bit from a torn write.
//!
//! A torn batch shows by a sector of zeros. But values may hold zeros of their
//! own, and a batch that was durable must not pass for a torn one because one
//! of its bits flipped. A CRC is linear: what one bit adds to it depends only on
//! how far the bit is from the end, so each can be tried without summing all of
//! the bytes again.

use crc32c::crc32c;

/// The polynomial of CRC-32C, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Whether one bit of `bytes`, or of the checksum that was written for them,
/// makes all the difference.
pub fn is_one_bit(bytes: &[u8], written: u32) -> bool {
    let difference = crc32c(bytes) ^ written;
    if difference.count_ones() <= 1 {
        return difference != 0;
    }
    // What each bit of the last byte adds; of the byte before it, and so on.
    let mut bits: [u32; 8] = std::array::from_fn(|bit| crc32c(&[1 << bit]) ^ crc32c(&[0]));
    bytes.iter().any(|_| {
        let found = bits.contains(&difference);
        bits.iter_mut().for_each(|bit| *bit = one_byte_on(*bit));
        found
    })
}

fn one_byte_on(crc: u32) -> u32 {
    (0..8).fold(crc, |crc, _| (crc >> 1) ^ ((crc & 1) * POLYNOMIAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_of_bytes_and_checksum_is_recognized() {
        let good: Vec<u8> = (0..100).collect();
        let written = crc32c(&good);
        assert!(!is_one_bit(&good, written), "nothing is flipped");
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(is_one_bit(&bad, written), "bit {at}");
        }
        for at in 0..32 {
            assert!(is_one_bit(&good, written ^ (1 << at)), "checksum bit {at}");
        }
    }

    #[test]
    fn a_sector_that_was_not_written_is_no_flipped_bit() {
        let good: Vec<u8> = (0..2000).map(|at| (at % 251) as u8).collect();
        let written = crc32c(&good);
        for sector in 0..3 {
            let mut torn = good.clone();
            torn[sector * 512..(sector + 1) * 512].fill(0);
            assert!(!is_one_bit(&torn, written));
        }
    }
}
