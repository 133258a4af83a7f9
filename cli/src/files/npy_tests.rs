//! The two directions against each other, and hostile files.

use super::*;

fn numbers() -> Matrix {
    Matrix::from_fn(37, 3, |i, j| (i as f64 - 7.25) * 10f64.powi(j as i32 * 3 - 3))
}

fn write(path: &Path, dtype: Dtype) {
    let x = numbers();
    let mut w = NpyWriter::create(path, 37, 3, dtype).unwrap();
    w.push(&x.slice_rows(0..20)).unwrap();
    w.push(&x.slice_rows(20..37)).unwrap();
    w.finish().unwrap();
}

/// Checks that f64 files give back the same bits and f32 files the nearest f32, whatever the block size.
#[test]
fn round_trip() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, round) in [(Dtype::F64, (|x| x) as fn(f64) -> f64), (Dtype::F32, |x| f64::from(x as f32))] {
        let path = folder.path().join("x.npy");
        write(&path, dtype);
        for block in [1, 5, 37, 1000] {
            let mut r = NpyReader::open(&path).unwrap();
            assert_eq!(r.shape(), (37, 3));
            let mut data = Vec::new();
            while let Some(m) = r.read_block(block).unwrap() {
                data.extend(m.into_vec());
            }
            assert_eq!(data, numbers().map(round).into_vec());
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file may stay");
}

/// Checks that the preamble is the one of NumPy 2: these are the bytes of `np.save(f, np.zeros((2, 1)))`.
#[test]
fn preamble_is_numpys() {
    let head = preamble(2, 1, Dtype::F64);
    assert_eq!(head.len(), 128);
    assert_eq!(&head[..10], b"\x93NUMPY\x01\x00v\x00");
    assert!(head[10..].starts_with(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }   "));
    assert_eq!(head[127], b'\n');
}

/// Checks that every truncation and every flipped bit of the preamble ends in an answer or a sentence, never in a panic, and
/// that every truncation is refused.
#[test]
fn damage_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    write(&path, Dtype::F64);
    let whole = std::fs::read(&path).unwrap();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        NpyReader::open(&path).and_then(|mut r| r.read_block(usize::MAX))
    };
    for cut in (0..whole.len()).step_by(7) {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for bit in 0..128 * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(block) = read(&bytes) {
            let cells = block.map_or(0, |m| m.as_slice().len());
            assert!(cells <= 2 * 37 * 3, "a flipped bit made {cells} numbers out of 111");
        }
    }
}

/// Checks that hostile headers are refused before anything is allocated, with a sentence that names the number.
#[test]
fn hostile_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let open = |shape: &str, descr: &str, order: &str| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0; 16]);
        std::fs::write(&path, bytes).unwrap();
        NpyReader::open(&path).map(|r| r.shape()).map_err(|e| e.to_string())
    };
    assert_eq!(open("(2,)", "<f8", "False"), Ok((2, 1)));
    assert_eq!(open("(1, 1, 2)", "<f8", "False"), Ok((1, 2)));
    for (shape, descr, order, word) in [
        ("(4294967296, 4294967296)", "<f8", "False", "4294967296"),
        ("(18446744073709551615, 2)", "<f8", "False", "18446744073709551615"),
        ("(99999999999999999999, 1)", "<f8", "False", "99999999999999999999"),
        ("(-1, 2)", "<f8", "False", "-1"),
        ("(1, 0)", "<f8", "False", "no columns"),
        ("()", "<f8", "False", "0 dimensions"),
        ("(1, 1, 1, 2)", "<f8", "False", "4 dimensions"),
        ("(1, 0, 2)", "<f8", "False", "no columns"),
        ("(1, 4294967296, 4294967296)", "<f8", "False", "18446744073709551615"),
        ("(1, 2", "<f8", "False", "tuple"),
        ("(1, 2)", ">f8", "False", ">f8"),
        ("(1, 2)", "|O", "False", "|O"),
        ("(1, 2)", "<f8", "True", "columns"),
    ] {
        let answer = open(shape, descr, order);
        assert!(answer.as_ref().is_err_and(|e| e.contains(word)), "{shape} {descr}: {answer:?}");
    }
    std::fs::write(&path, b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{").unwrap();
    assert!(NpyReader::open(&path).unwrap_err().to_string().contains("2147483647"));
}
