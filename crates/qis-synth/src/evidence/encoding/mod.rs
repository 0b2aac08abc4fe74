//! The payload of an evidence packet.
//!
//! # Format
//!
//! A payload of `d` coefficients, the intercept included where there is one, is
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format: `0x01`, a full factor at 4 bits; `0x02`, some axes at 4 bits |
//! | 4 | number of records, `u32` little-endian, at least 1 |
//! | 2 | scale of the coefficients, `bfloat16` little-endian: 0, or `2^-30` to `2^10` |
//! | 2 | Gaussian family only: residual sum of squares, `bfloat16` little-endian, not negative |
//! | 1 | format `0x02` only: the number of axes `r`, 1 to 6 and not more than `d` |
//! | rest | bit fields, least significant bit first, zero-padded to a whole byte |
//!
//! and the bit fields are
//!
//! | bits | how often | content |
//! |---|---|---|
//! | 6 | `d` | coefficient codes plus 31, 0 to 62; the largest magnitude is 31, or all are 31 (zero) when the scale is 0 |
//! | 8 | `d` | size codes, 0 to 255 |
//!
//! then in format `0x01`
//!
//! | bits | how often | content |
//! |---|---|---|
//! | 4 | `d(d-1)/2` | factor codes above the diagonal plus 7, 0 to 14, column after column |
//! | 3 | `d - 1` | factor codes on the diagonal, 0 to 7; each follows the rest of its column, and the first column's is 7 and not written |
//!
//! and in format `0x02`, for each axis
//!
//! | bits | how often | content |
//! |---|---|---|
//! | 8 | 1 | scale code of the axis, 0 to 255 |
//! | 4 | `d` | axis codes plus 7, 0 to 14; the largest magnitude is 7 |
//!
//! Neither the family nor `d` is in the payload: the schema hash in the packet's domain tag
//! decides both, so the length is known before more than the format and the number of axes is read.
//! A full factor is written where it fits, else as many axes as fit.
//!
//! # Meaning
//!
//! With `A = L + e I`, `e` being 0.01 in the Cox family and 0.001 in others, the coefficients are
//! `θ = A^-1 h`, each `code/31 * scale`. Size `k` is `s_k = sqrt(A_kk) = 2^(code/8 - 5)`. The upper
//! triangular `C` of the Cholesky factorisation `A = C'C` has columns of length `s_k`; entry `(i, k)`
//! is `code/7 * s_k`, and `L` is read as `C'C`.
//!
//! Of an axis with scale code `m`, entry `k` is `u_k = code/7 * 2^(-m/8)`: an eigenvector of the
//! matrix `A_ik / (s_i s_k)` times the root of its eigenvalue, those of the largest eigenvalues first.
//! With `B` the sum of `u u'` over the axes, `L` is read as `s_i s_k B_ik` off the diagonal and as
//! `s_k^2 (B_kk + max(1 - B_kk, 0.02))` on it.
//!
//! A reader computes `h = Lθ` and `y'y = θ'Lθ + residual`, which are consistent whatever was sent:
//! `L` is positive semi-definite, and no coefficients make the residual negative.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bfloat16;
mod codes;
mod full;
mod low_rank;

pub(super) use codes::{Codes, Format};

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
    /// The length is not the one of this family, dimension and format.
    #[error("the payload has {found} bytes, not {expected}")]
    Length {
        /// The length of every such payload.
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
    /// The number of axes.
    Rank,
    /// The axes of the precision.
    Axes,
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
            Self::Rank => "number of axes",
            Self::Axes => "axes",
            Self::Padding => "padding",
        })
    }
}
