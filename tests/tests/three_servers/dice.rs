//! Small and repeatable: xorshift64*.

pub struct Dice(u64);

impl Dice {
    /// Seeds beside each other are no neighbours.
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1))
    }

    pub fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).expect("it fits");
        usize::try_from(self.next() % sides).expect("it is less than sides")
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
