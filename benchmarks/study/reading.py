"""What a person reads in the committed numbers. It stands on the page only beside these very numbers."""

RUNS = "ab23688675b1"  # evaluation.people.digest of {"runs": ...}

READING = """Read together (by a person, of the numbers committed with this page):

- **The labels are bent.** Fits under the crop's camera are 30 mm worse than fits under the true one; before near cameras
  legs lean by 12 degrees and trunks by 5 the other way. Networks inherit 2 to 4 mm of it, hardly more since they are
  themselves 145 to 150 mm off on these test subjects (about 120 on val's).
- **It is the labels that teach it, not the 2D loss.** With the same labels, comparing 2D joints through the true camera
  changes nothing, and a 2D loss ten times as heavy costs nothing after Procrustes. What it costs is orientation and size:
  MPJPE grows by 1.7 mm (continuous) and 4.8 mm (tokens). The paper's own analysis trains on 2D alone, which was not done here.
- **TALS as released helps every head by 2.5 mm**, of the 3 to 4 mm that exact labels would bring; as the supplement words it,
  it hardly acts on networks as far off as these. **Filtering, tuned, helps as much** after Procrustes, and by 2 mm more than
  TALS in MPJPE. The residual of a fit knows of the camera here: four fifths of the people before near cameras are left out.
- **Tokens are 4 mm better than a continuous head, and the frozen decoder does it.** Free latents through the same decoder
  are as good within 2 mm. Most of the advantage (3.3 mm) is there with exact labels too: it is a prior of poses that helps a
  weak network, and only about 1.4 mm (0.5 to 2.3) of it is what the wrong camera costs a continuous head more. Without
  Procrustes the advantage is 1 mm and not sure.
- **The discriminator changed nothing**, at its released weight and at a hundred times of it."""
