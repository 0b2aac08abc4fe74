//! The payload of an evidence packet.
//!
//! # Format
//!
//! A payload of `d` coefficients, the intercept included, is
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format: `0x01`, a full factor at 4 bits |
//! | 4 | number of records, `u32` little-endian, at least 1 |
//! | 2 | scale of the coefficients, `bfloat16` little-endian: 0, or `2^-30` to `2^10` |
//! | 2 | Gaussian family only: residual sum of squares, `bfloat16` little-endian, not negative |
//! | rest | bit fields, least significant bit first, zero-padded to a whole byte |
//!
//! and the bit fields are
//!
//! | bits | how often | content |
//! |---|---|---|
//! | 6 | `d` | coefficient codes plus 31, 0 to 62; the largest magnitude is 31, or all are 31 (zero) when the scale is 0 |
//! | 8 | `d` | size codes, 0 to 255 |
//! | 4 | `d(d-1)/2` | factor codes above the diagonal plus 7, 0 to 14, column after column |
//! | 3 | `d - 1` | factor codes on the diagonal, 0 to 7; each follows the rest of its column, and the first column's is 7 and not written |
//!
//! Neither the family nor `d` is in the payload: the schema hash in the packet's domain tag
//! decides both, so the length is known before the first byte is read.
//!
//! # Meaning
//!
//! With `A = L + 0.001 I`, the coefficients are `θ = A^-1 h`, each `code/31 * scale`. Size `k` is
//! `s_k = sqrt(A_kk) = 2^(code/8 - 5)`. The upper triangular `C` of the Cholesky factorisation
//! `A = C'C` has columns of length `s_k`; entry `(i, k)` is `code/7 * s_k`. A reader computes
//! `L = C'C`, `h = Lθ` and `y'y = θ'Lθ + residual`, which are consistent whatever was sent:
//! `L` is positive semi-definite, and no coefficients make the residual negative.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bfloat16;
mod codes;

pub(super) use codes::{Codes, payload_len};

/// A summary that cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// The payload is longer than the budget.
    #[error("the payload needs {needed} bytes, the budget is {budget}")]
    BudgetTooSmall {
        /// The length of the payload in bytes.
        needed: usize,
        /// The bytes there are.
        budget: usize,
    },
    /// A figure is beyond what the format can hold.
    #[error("the {part} is beyond the range of the format")]
    OutOfRange {
        /// Which figure.
        part: Part,
    },
}

/// Bytes that are not an evidence payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodingError {
    /// The number of coefficients is outside what a schema can have.
    #[error("no schema has {0} coefficients")]
    Dims(usize),
    /// The length is not the one of this family and dimension.
    #[error("the payload has {found} bytes, not {expected}")]
    Length {
        /// The length of every payload of the family and dimension.
        expected: usize,
        /// The length of this one.
        found: usize,
    },
    /// The format byte is of no known format.
    #[error("unknown payload format {0:#04x}")]
    Format(u8),
    /// A part holds what no encoder writes.
    #[error("the {0} holds a value no encoder writes")]
    Invalid(Part),
}

/// A part of an evidence payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The number of records.
    Records,
    /// The scale of the coefficients.
    Scale,
    /// The residual sum of squares.
    Residual,
    /// The coefficients.
    Coefficients,
    /// The sizes: square roots of the precision's diagonal.
    Sizes,
    /// The Cholesky factor of the precision.
    Factor,
    /// The zero bits that fill the last byte.
    Padding,
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Records => "number of records",
            Self::Scale => "scale of the coefficients",
            Self::Residual => "residual sum of squares",
            Self::Coefficients => "coefficients",
            Self::Sizes => "sizes",
            Self::Factor => "factor",
            Self::Padding => "padding",
        })
    }
}
