"""What the front ends and the workers both speak. No web framework, no tensor library."""
