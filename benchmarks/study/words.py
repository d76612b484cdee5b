"""Sentences of the page that no number changes."""

INTRODUCTION = """# TokenHMR's own claims, tested on synthetic truth

`python benchmarks/study.py --data MOTION` makes this page; `--page` remakes it from `study_tokens_and_tals.json` and runs
nothing.

TokenHMR (Dwivedi et al., CVPR 2024) says that people are seen by near cameras, that training data are labelled and losses
are computed as if there were no perspective, that bodies are therefore bent to fit, and that two things help: not to follow
labels closer than the camera allows (TALS), and to say poses in tokens. On photographs none of this can be looked at
directly, for their 3D is not known. Here it is: pictures are made, pseudo ground truth is fitted to their 2D joints as the
field does it, and what networks learn from it is measured against the truth."""

HOW = """- **People.** CMU motion retargeted to SMPL's joints, subjects of train, val and test apart; the packaged tokenizer
  saw only the train subjects. {train:,} pictures to train on, {val} for tuning, {thresholds} for thresholds (other files than
  val's; long clips are in several), {test:,} for testing, from {clips} clips of three subjects. Shapes, clothes, light and
  backgrounds of `tokenhmr.synthesis`. The camera stands 1.2 to 5 m away (log-uniform), at
  1.5 m above the ground on average, and looks at the person's middle; everybody is in the picture whole.
- **What networks read.** The packaged backbone and joint locator, frozen, looked at every picture once; networks learn from
  what they found. No augmentation.
- **Labels.** 28 % of the training rows are exact (the share of Human3.6M and BEDLAM in TokenHMR's mixture). The others have
  their 2D joints with Gaussian noise of 1 % of the crop, and body, shape and 3D joints of a fit: SMPLify's objective
  (robust reprojection of 44 joints, Gaussian pose prior of the training motion, shape prior), Adam, the crop's camera of
  5000 pixels focal length, which has hardly any perspective. Fits begin at the truth turned by 12 degrees a joint (8 the
  root), as fits of the field begin at a network's estimate.
- **Heads.** Behind one decoder of the packaged size and one mixer: six numbers for each joint (`continuous`, HMR2.0's way),
  the same against HMR2.0's discriminator (`adversarial`), free latents through the packaged tokenizer's frozen decoder
  (`latents`), and scores over its codes (`tokens`, TokenHMR's way). All start alike, as TokenHMR starts at HMR2.0's
  weights: {lifted:,} bodies lifted from 2D joints that were never a picture, with exact labels, before cameras at 2.5 to 10
  m (the first step of the packaged recipe).
- **Losses.** The package's, weights as released. `plain` follows every label; TALS by the two rules that the package has
  (paper and release differ in what they compare with the table); `filtered` leaves out the fitted rows with the worst
  residuals and follows the others. Thresholds were measured as the supplement describes: {flat} hundredths of the crop in
  2D and {angle} rad on average.
- **A run** is {steps} steps of {batch} rows, AdamW, warm-up and cosine, bfloat16, the same rows in the same order for all
  networks of a seed. {runs} runs took {seconds} processor seconds, on two cores shared with other work."""

LIMITS = """- One small size, minutes of learning, thousands of pictures: the paper trains ViT-H for days. Networks here are
  much worse than their labels, so differences between labels are diluted, and what is undecided here may well be decided
  there.
- The backbone is frozen and has seen exact labels of synthetic people (at 2.5 to 10 m); only what stands behind it learns
  from biased ones.
- Test people are of the same synthetic kind as training people. Nothing is said about photographs, clothes, crowds or rare
  poses.
- Three test subjects, whose motion is harder than val's: intervals over clips do not say what other subjects would bring.
  Five seeds are few for an interval over seeds.
- Fits begin near the truth. Real pseudo ground truth has flips and ambiguities besides; all-or-nothing filtering, which is
  good at finding those, has less to find here.
- Heads start from exact labels, so what is measured is how far biased ones lead away from there. The start is one for all
  seeds of a head; a seed decides the order of rows and how the discriminator begins.
- `continuous` stands behind the same mixer as the others, which HMR2.0's single linear layer does not. Soft tokens are
  mixtures of codes: the paper's tokens, but hardly discrete.
- The filter chose the smallest share it was offered, so it may do better still with less; what it leaves out are mostly
  people before near cameras, whose residuals are the largest. On photographs a residual has other causes too.
- The learning rate was tuned under plain losses and used for all losses of a head.
- The control `true_camera` is told focal length and optical axis, which no picture says."""

VERDICT_RULE = """Differences are paired; above zero is on the claim's side. In brackets 95 % intervals over motion clips
and seeds. The rule, in code before any network was trained: a difference holds if its PA-MPJPE interval lies above zero,
however little; else it does not hold if its interval lies below zero or within {margin:g} mm of it; else it is not decided
here. A claim holds if all its differences do, and does not if one does not. MPJPE is shown beside, with the
word that it would have got, and judges nothing: it sees orientation and size too, which PA-MPJPE takes out.
{claims} claims were looked at and intervals are not widened for that."""

LABELS = """Pseudo ground truth of the training people against their truth. The last three columns are signed means of
(label minus truth): knees more bent, trunk and legs leaning with their upper end towards the camera. A camera at eye level
looks down on a near person, so the legs are farther away and smaller; a camera without perspective has to explain that by
the pose."""

CAMERA = """Where the crop's camera, at its best, puts true joints (test people, mean distance in hundredths of the crop's
side): {camera}. A loss that goes below that goes away from the truth. The fits reach {residual:.2f} against annotated
joints, which are themselves off by 1.25 on average."""

STARTS = """On some of the people, from two other beginnings. At the mean pose (with the true orientation) ambiguity of
depth comes on top; the study's own fits begin near the truth (see below), so that what is wrong in them is mostly the
camera's doing."""

NETWORKS = """Test people, true 3D, 24 SMPL joints seen from the pelvis joint; 2D under the crop's camera, which networks of
the true camera were not trained for. In brackets 95 % intervals over clips and seeds of the number itself; differences,
which are paired, are much surer than these."""

CURVES_WORDS = """Left: PA-MPJPE on val people over the steps, means over seeds. Right: the same runs, 2D error under the
crop's camera (what the 2D loss sees) against 3D error, from the first point of measuring to the last. A run is {steps}
steps of {batch} people, from where its head starts: see Limits."""

TUNING = """Chosen by PA-MPJPE on val people, one seed that the comparison does not use. Every head had the same grids:
learning rates {rates} under plain losses, then shares {shares} for the filter; the adversarial head had also weights
{weights}. TALS has nothing to choose: its thresholds were measured on people of another split.
{left}: the residual of a fit knows of the camera."""

CODES = """The tokenizer alone: small ones, {steps} steps each and far from the end of learning, on every 24th frame of
held-out motion; one seed each. What such tokenizers would reach in the end is not said by this. The study itself uses the
first packaged one (40 tokens of 1,024 codes, 13.8 mm)."""

MORE = """Some cells again with {times} times as many steps, as tuned for the usual number. Few seeds: these numbers show
whether the picture changes with more learning, and judge nothing."""

TWO_RULES = """Why the two rules of TALS differ: the networks' joints are {error:.1f} hundredths of the crop off in 2D. Compared
as distances with thresholds of {flat:.1f} on average, most joints are beyond them and TALS is nearly the plain loss;
compared as squares, the same table means {radius:.0f} hundredths, most joints are within it, and 3D joints of fitted rows
hardly teach any more."""

NO_MORE = """The command also runs some cells with {times} times as many steps; that was not done for these numbers, so how far
the picture depends on the little learning is open."""
