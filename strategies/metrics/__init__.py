"""What is measured, how it leaves a site as sums, and how the sums become numbers again."""
