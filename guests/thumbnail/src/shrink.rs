//! From a picture to its thumbnail, as bytes. No host calls in here.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};

/// Most pixels on one side, and so what decoding takes at the most.
const SIDE_PIXELS_MAX: u32 = 8192;
/// Most memory for a decoded picture: 16 million pixels in colour. Decoding a
/// progressive JPEG takes twice that again, so 256 MiB are enough for everything.
const DECODE_BYTES_MAX: u64 = 48 << 20;
/// Quality of a JPEG thumbnail, of 100.
const JPEG_QUALITY: u8 = 80;

/// Why there is no thumbnail.
#[derive(Debug)]
pub enum ShrinkError {
    /// It is an image, with too many pixels.
    TooLarge,
    /// It is not an image that can be read.
    NotAnImage(String),
}

impl fmt::Display for ShrinkError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShrinkError::TooLarge => write!(out, "the image has too many pixels"),
            ShrinkError::NotAnImage(reason) => write!(out, "not a JPEG or PNG: {reason}"),
        }
    }
}

impl From<ImageError> for ShrinkError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => ShrinkError::TooLarge,
            other => ShrinkError::NotAnImage(other.to_string()),
        }
    }
}

/// The content type and bytes of a thumbnail of `file`, at most `width` wide.
pub fn shrink(file: &[u8], width: u32) -> Result<(&'static str, Vec<u8>), ShrinkError> {
    let (image, format) = decode(file)?;
    let width = width.min(image.width());
    // A very flat picture still gets a row.
    let height = u64::from(image.height()) * u64::from(width) / u64::from(image.width());
    let height = u32::try_from(height).unwrap_or(u32::MAX).max(1);
    let small = image.thumbnail_exact(width, height);
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Png => {
            small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
            Ok(("image/png", bytes))
        }
        _ => {
            // JPEG has no transparency.
            let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
            DynamicImage::from(small.to_rgb8()).write_with_encoder(encoder)?;
            Ok(("image/jpeg", bytes))
        }
    }
}

fn decode(file: &[u8]) -> Result<(DynamicImage, ImageFormat), ShrinkError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().expect("in memory");
    let Some(format) = reader.format() else {
        let found = if file.is_empty() { "it is empty" } else { "its first bytes are neither's" };
        return Err(ShrinkError::NotAnImage(found.to_owned()));
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PIXELS_MAX);
    limits.max_image_height = Some(SIDE_PIXELS_MAX);
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    reader.limits(limits);
    Ok((reader.decode()?, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let image = DynamicImage::new_rgb8(width, height);
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn size(bytes: &[u8]) -> (u32, u32) {
        let (image, _) = decode(bytes).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn a_thumbnail_keeps_format_and_proportions() {
        for (format, content_type) in
            [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg")]
        {
            let (found, bytes) = shrink(&file(600, 400, format), 60).unwrap();
            assert_eq!((found, size(&bytes)), (content_type, (60, 40)));
        }
    }

    #[test]
    fn nothing_grows_and_nothing_vanishes() {
        let (_, bytes) = shrink(&file(20, 10, ImageFormat::Png), 100).unwrap();
        assert_eq!(size(&bytes), (20, 10));
        let (_, bytes) = shrink(&file(1000, 2, ImageFormat::Png), 10).unwrap();
        assert_eq!(size(&bytes), (10, 1));
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let wide = file(SIDE_PIXELS_MAX + 1, 1, ImageFormat::Png);
        assert!(matches!(shrink(&wide, 10), Err(ShrinkError::TooLarge)));
        let broken = &file(60, 40, ImageFormat::Png)[..60];
        for bytes in [b"".as_slice(), b"hello", broken] {
            assert!(matches!(shrink(bytes, 10), Err(ShrinkError::NotAnImage(_))));
        }
    }
}
