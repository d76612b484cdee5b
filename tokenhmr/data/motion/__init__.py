"""Motion capture of other layouts on its way to SMPL's joints: BVH, ASF/AMC, AMASS, MOYO."""
