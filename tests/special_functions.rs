//! The accuracy that each special function states, against values of 60 digits.

use pushforward::num::Special::{self, *};

/// Checks values of 17 digits, computed with 60 digits by an independent program, to the accuracy that each function states: at small,
/// middle and large arguments, on both sides of every change of formula, and where log Γ and ψ vanish.
#[test]
fn stated_accuracy() {
    let mut worst = [0.0f64; 2];
    for &(f, x, exact) in TABLE {
        let unit = match f {
            LogGamma | Polygamma(0) => 8.0 * (1.0 + f64::abs(exact)),
            Polygamma(_) => 32.0 * exact.abs(),
            Erf => 4.0 * exact.abs(),
            NormalCdf | InverseMills => 16.0 * exact.abs(),
            LogNormalCdf => 8.0 * exact.abs(),
            Atan => 2.0 * exact.abs(),
        } * f64::EPSILON;
        let error = (f.value(x) - exact).abs() / unit;
        worst[0] = worst[0].max(error);
        assert!(error <= 1.0, "{f:?}({x}) = {:e}, not {exact:e}: {error:.2} of what is stated", f.value(x));
        // a table that is wrong in the thirteenth digit is not within what is stated
        worst[1] = worst[1].max((f.value(x) - exact * (1.0 + 1e-12)).abs() / unit);
    }
    assert!(worst[1] > 1.0 && worst[0] > 0.01, "{worst:?}: the table tests nothing");
}

/// Checks that each function is continuous to its accuracy where its formula changes, and edges: 0, infinities, NaN, negative arguments.
#[test]
fn seams_and_edges() {
    for (f, x) in [
        (LogGamma, 0.5),
        (LogGamma, 1.5),
        (LogGamma, 2.5),
        (LogGamma, 10.0),
        (Polygamma(0), 10.0),
        (Polygamma(2), 12.0),
    ]
    .into_iter()
    .chain([
        (Erf, 1.0),
        (Erf, 6.0),
        (NormalCdf, 0.0),
        (LogNormalCdf, 0.0),
        (InverseMills, 0.0),
        (InverseMills, 40.0),
    ]) {
        let (below, above) = (f.value(f64::next_down(x)), f.value(x));
        assert!(
            (below - above).abs() <= 64.0 * f64::EPSILON * (1.0 + above.abs()),
            "{f:?} at {x}: {below:e} {above:e}"
        );
    }
    assert_eq!((LogGamma.value(0.0), LogGamma.value(1.0), LogGamma.value(2.0)), (f64::INFINITY, 0.0, 0.0));
    assert_eq!((Polygamma(0).value(0.0), Polygamma(0).value(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
    assert_eq!(
        (Erf.value(f64::INFINITY), Erf.value(-f64::INFINITY), NormalCdf.value(f64::NEG_INFINITY)),
        (1.0, -1.0, 0.0)
    );
    assert_eq!((LogNormalCdf.value(f64::INFINITY), LogNormalCdf.value(f64::NEG_INFINITY)), (0.0, f64::NEG_INFINITY));
    for f in [LogGamma, Polygamma(0), Polygamma(1), Erf, NormalCdf, LogNormalCdf, InverseMills, Atan] {
        assert!(f.value(f64::NAN).is_nan(), "{f:?}");
    }
    assert!(LogGamma.value(-0.5).is_nan() && Polygamma(0).value(-0.5).is_nan() && Polygamma(1).value(-0.5).is_nan());
    assert_eq!(LogGamma.value(f64::INFINITY), f64::INFINITY);
}

/// (function, x, value).
#[rustfmt::skip]
const TABLE: &[(Special, f64, f64)] = &[
    (LogGamma, 1e-300, 690.7755278982137),
    (LogGamma, 1e-05, 11.512919692895826),
    (LogGamma, 0.1, 2.252712651734206),
    (LogGamma, 0.49, 0.592249629335267),
    (LogGamma, 0.7, 0.26086724653166654),
    (LogGamma, 0.99999, 5.772238896093089e-06),
    (LogGamma, 1.0001, -5.771334222047127e-05),
    (LogGamma, 1.3, -0.10817480950786047),
    (LogGamma, 1.4999, -0.12078588195849393),
    (LogGamma, 1.9, -0.03898427592308336),
    (LogGamma, 2.00001, 4.22787559764836e-06),
    (LogGamma, 2.4, 0.21685932244884157),
    (LogGamma, 2.7, 0.4348205536551047),
    (LogGamma, 3.5, 1.2009736023470743),
    (LogGamma, 7.25, 7.0521854507385395),
    (LogGamma, 9.99, 12.779315214350193),
    (LogGamma, 10.5, 13.940625219403763),
    (LogGamma, 50.0, 144.5657439463449),
    (LogGamma, 1234.5, 7550.550901077895),
    (LogGamma, 100000000.0, 1742068066.1038346),
    (LogGamma, 1e+100, 2.2925850929940456e+102),
    (Polygamma(0), 1e-10, -10000000000.577215),
    (Polygamma(0), 0.01, -100.56088545786868),
    (Polygamma(0), 0.5, -1.9635100260214235),
    (Polygamma(0), 1.0, -0.5772156649015329),
    (Polygamma(0), 1.4616321449683622, -9.241265521729427e-17),
    (Polygamma(0), 2.5, 0.7031566406452432),
    (Polygamma(0), 9.9, 2.2411803166063815),
    (Polygamma(0), 10.1, 2.262214357094148),
    (Polygamma(0), 300.0, 5.702114882064637),
    (Polygamma(0), 1000000000.0, 20.723265836446412),
    (Polygamma(1), 1e-05, 10000000001.644909),
    (Polygamma(1), 0.3, 12.245364546107732),
    (Polygamma(1), 1.0, 1.6449340668482264),
    (Polygamma(1), 5.5, 0.19934238698962767),
    (Polygamma(1), 10.9, 0.09608000112266979),
    (Polygamma(1), 11.1, 0.09426987080342683),
    (Polygamma(1), 500.0, 0.0020020013333322665),
    (Polygamma(2), 0.01, -2000002.340398677),
    (Polygamma(2), 0.3, -75.27253658872604),
    (Polygamma(2), 1.0, -2.4041138063191885),
    (Polygamma(2), 5.5, -0.03960894752130204),
    (Polygamma(2), 11.9, -0.007679939159328307),
    (Polygamma(2), 12.1, -0.007417881105917006),
    (Polygamma(2), 500.0, -4.008007999989333e-06),
    (Polygamma(5), 0.3, 164634.84609922304),
    (Polygamma(5), 1.0, 122.0811674381339),
    (Polygamma(5), 5.5, 0.007318980739550786),
    (Polygamma(5), 14.9, 3.852949996524475e-05),
    (Polygamma(5), 40.0, 2.4938943509996704e-07),
    (Erf, 1e-300, 1.1283791670955126e-300),
    (Erf, 1e-08, 1.1283791670955126e-08),
    (Erf, 0.1, 0.1124629160182849),
    (Erf, -0.5, -0.5204998778130465),
    (Erf, 0.99, 0.8385080695553698),
    (Erf, 1.01, 0.8468104962282768),
    (Erf, -1.7, -0.9837904585907745),
    (Erf, 2.5, 0.999593047982555),
    (Erf, 4.0, 0.9999999845827421),
    (Erf, 5.9, 0.9999999999999999),
    (NormalCdf, -37.0, 5.725571222524577e-300),
    (NormalCdf, -20.3, 6.429244467698346e-92),
    (NormalCdf, -8.1, 2.7479593923982286e-16),
    (NormalCdf, -3.3, 0.0004834241423837775),
    (NormalCdf, -1.0, 0.15865525393145705),
    (NormalCdf, -0.1, 0.460172162722971),
    (NormalCdf, 0.0, 0.5),
    (NormalCdf, 0.3, 0.6179114221889527),
    (NormalCdf, 1.0, 0.8413447460685429),
    (NormalCdf, 4.5, 0.9999966023268753),
    (NormalCdf, 9.0, 1.0),
    (LogNormalCdf, -1000000000.0, -5e+17),
    (LogNormalCdf, -10000.0, -50000010.12927891),
    (LogNormalCdf, -40.0, -804.6084420137538),
    (LogNormalCdf, -5.5, -17.77937635262526),
    (LogNormalCdf, -1.0, -1.8410216450092636),
    (LogNormalCdf, -0.1, -0.7761545927302733),
    (LogNormalCdf, 0.1, -0.6165050101150263),
    (LogNormalCdf, 1.0, -0.17275377902344988),
    (LogNormalCdf, 4.0, -3.167174337748927e-05),
    (LogNormalCdf, 9.0, -1.1285884059538405e-19),
    (InverseMills, -1000000000.0, 1000000000.0),
    (InverseMills, -10000.0, 10000.000099999997),
    (InverseMills, -40.0, 40.02496884720726),
    (InverseMills, -5.5, 5.671410313897305),
    (InverseMills, -1.0, 1.525135276160981),
    (InverseMills, -0.1, 0.8626174715309362),
    (InverseMills, 0.1, 0.7353317485057806),
    (InverseMills, 1.0, 0.2875999709391784),
    (InverseMills, 4.0, 0.00013383446446857514),
    (InverseMills, 20.0, 5.520948362159764e-88),
    (Atan, 1e-09, 1e-09),
    (Atan, -0.5, -0.4636476090008061),
    (Atan, 0.75, 0.6435011087932844),
    (Atan, 30.0, 1.5374753309166493),
];
